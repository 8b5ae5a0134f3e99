"""The process that captions, a child of the one that schedules: an image that kills it kills nothing else.

It takes one JSON object a line on standard input (the settings, then what is asked), and answers with one
a line. Empty lines are its parent's heartbeat; when standard input ends, its parent has, and so does it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

from captioner.bulk.caption import Predicts, Settings, caption_shard, images
from captioner.bulk.outputs import as_json
from captioner.bulk.shards import Shard
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError

TICK = 5.0  # seconds between heartbeats


def load(settings: Settings) -> Predicts:
    """The predictor of the settings.

    Raises:
        CaptionerError: the model cannot be loaded, or is not the one of the manifest.
    """
    from captioner.bulk.manifest import digests
    from captioner.predictor import load
    from captioner.system.device import keep_memory

    if digests(settings.checkpoint) != list(settings.model):
        raise CaptionerError("--checkpoint: this machine has another model under that name")
    keep_memory()
    if settings.accept_truncated:
        from PIL import ImageFile

        ImageFile.LOAD_TRUNCATED_IMAGES = True
    return load(settings.checkpoint, settings.device, settings.precision)


def serve(load: Callable[[Settings], Predicts] = load) -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    asked: queue.Queue[dict[str, Any]] = queue.Queue()
    beats = [0]
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked, beats), daemon=True).start()
    try:
        first = asked.get()
        settings = replace(Settings(**first["settings"]), search=SearchConfig(**first["settings"]["search"]))
        if first["patience"] is not None:
            watch = threading.Thread(target=_watch, args=(beats, first["patience"]), daemon=True)
            watch.start()
        predictor = load(settings)
        _answer(answers, ready=True)
        while True:
            _do(asked.get(), predictor, settings, answers)
    except CaptionerError as error:
        _answer(answers, refused=str(error))
    except BrokenPipeError:
        os._exit(0)


def _do(asked: dict[str, Any], predictor: Predicts, settings: Settings, answers: BinaryIO) -> None:
    shard = Shard(**asked["shard"])
    if asked["what"] == "names":
        names = [[image.key, image.place] for image in images(shard, settings.column)]
        _answer(answers, names=names)
        return
    for record in caption_shard(shard, predictor, settings, asked["positions"]):
        _answer(answers, record=record)
    _answer(answers, done=True)


def _answer(file: BinaryIO, **answer: Any) -> None:
    file.write(as_json(answer))
    file.flush()


def _listen(file: BinaryIO, asked: queue.Queue[dict[str, Any]], beats: list[int]) -> None:
    for line in file:
        beats[0] += 1
        if line.strip():
            asked.put(json.loads(line))
    os._exit(0)


def _watch(beats: list[int], patience: float) -> None:
    """Kill a parent whose heart has stopped; its scheduler then knows, and starts another.

    Time is counted by this process's own naps, so that a machine that slept is not taken for it.
    """
    seen, silent = beats[0], 0.0
    nap = min(TICK, patience / 4)
    while silent < patience:
        time.sleep(nap)
        silent = silent + nap if beats[0] == seen else 0.0
        seen = beats[0]
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    serve()
