"""What the commands that read photos share: their arguments, and the captions one by one."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from captioner.caption import Caption
from captioner.cli.options import add_flags, from_flags
from captioner.config.schema import MOST_WORKERS
from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.config.training import LARGEST_BATCH
from captioner.data.photos.find import find_images
from captioner.errors import CaptionerError, check_range


def photo_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the arguments that every command on photos has."""
    parser = argparse.ArgumentParser(f"captioner {command}", description=description)
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="an image, a folder (with its subfolders), a glob pattern, or - for paths on standard input",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        required=True,
        action="append",
        help="a model.safetensors, or its run folder; given again, the models caption together",
    )
    default = " (default: %(default)s)"
    parser.add_argument(
        "--batch-size", type=int, default=SEARCHED_TOGETHER, metavar="N", help="images at a time" + default
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="threads that decode images" + default
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps" + default)
    add_flags(parser.add_argument_group("search"), SearchConfig)
    return parser


def captions(
    arguments: argparse.Namespace, attention: bool, skip: Counter[str] | None = None
) -> Iterator[tuple[Path, Caption | CaptionerError]]:
    """Every image found on the command line with its caption or its error, in order, as they are done.

    Args:
        skip: paths to leave out, each as often as it is counted.
    """
    options = from_flags(SearchConfig, arguments)
    check_range(arguments.batch_size, "--batch-size", low=1, high=LARGEST_BATCH)
    check_range(arguments.workers, "--workers", low=0, high=MOST_WORKERS)
    # not before the arguments are known to be right: torch alone takes seconds
    from captioner.predictor import load
    from captioner.system.device import keep_memory

    keep_memory()
    predictor = load(arguments.checkpoint, arguments.device)
    found: list[Path] = []  # read ahead of the captions by a batch or two

    def sources() -> Iterator[Path]:
        left_out = Counter(skip)
        for path in find_images(arguments.paths):
            if left_out[str(path)] > 0:
                left_out[str(path)] -= 1
                continue
            found.append(path)
            yield path

    def pairs() -> Iterator[tuple[Path, Caption | CaptionerError]]:
        results = predictor.caption_many(
            sources(), options, attention, arguments.batch_size, arguments.workers
        )
        for result in results:
            yield found.pop(0), result

    return pairs()
