"""The commands there are; each is a module of this package with a function ``run``."""

from __future__ import annotations

COMMANDS = {
    "check": "read a whole dataset before training, and list what is wrong with it",
    "train": "train a captioner on images with captions",
    "encode": "fill the annotation cache before training, on one machine or on many",
    "evaluate": "caption a split and score the captions, or those of a file (BLEU, and the COCO metrics)",
    "average": "make one model of several that were trained on from the same start",
    "compare": "train every recurrent cell alike, several times, and compare them",
    "caption": "caption images, folders of them, or paths on standard input",
    "merge": "join the captions of shards into one file, in order",
    "attend": "draw where the model looked for every word: figures, animations, or a page",
    "export": "write a model for where it is to run: ONNX, torch.export, or a page that captions by itself",
    "info": "tell what a model file holds",
    "serve": "a web page to drop photos on, and a JSON endpoint",
    "scenes": "write generated scenes with captions, to try things out on",
    "completion": "print what a shell needs to complete commands and options",
}


def is_configured(command: str) -> bool:
    """Whether the command takes KEY=VALUE, whose help is read from their declarations."""
    from captioner.config.schema import COMMANDS as CONFIGURED

    return command in CONFIGURED
