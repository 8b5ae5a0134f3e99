"""``captioner caption PATH... --checkpoint FILE``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from captioner.cli.photos import captions, photo_parser
from captioner.cli.recorded import Recorded, resumed
from captioner.cli.writers import WRITERS
from captioner.errors import CaptionerError


def run(arguments: Sequence[str]) -> int:
    """Print or write one caption per image, in order; 1 if an image could not be read."""
    parser = photo_parser("caption", "Caption images.")
    parser.add_argument(
        "--format",
        choices=tuple(WRITERS),
        help="default: text, or jsonl where --output ends in .jsonl",
    )
    parser.add_argument("--output", metavar="FILE", help="write there instead of printing")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume an --output of JSONL: a half-written last line is removed, and images that have a "
        "record already, even of an error, are skipped",
    )
    options = parser.parse_args(arguments)
    if options.format is None:
        options.format = "jsonl" if str(options.output).endswith(".jsonl") else "text"
    if not options.resume:
        return _caption(options, Recorded())
    if options.output is None or options.format != "jsonl":
        raise CaptionerError("--resume: needs --output FILE.jsonl, as text does not record what is done")
    with resumed(Path(options.output)) as recorded:
        return _caption(options, recorded)


def _caption(options: Namespace, recorded: Recorded) -> int:
    failed, total = recorded.failed, recorded.paths.total()
    results = captions(options, attention=False, skip=recorded.paths)
    with _opened(options.output, "a" if options.resume else "w") as output:
        writer = WRITERS[options.format](output)
        for path, result in results:
            total += 1
            failed += isinstance(result, CaptionerError)
            writer.write(path, result)
    if failed:
        print(f"captioner: {failed} of {total} images could not be read", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def _opened(path: str | None, mode: str) -> Iterator[TextIO]:
    try:
        if path is None:
            yield sys.stdout
        else:
            with open(path, mode, encoding="utf-8") as file:
                yield cast(TextIO, file)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = "to standard output" if path is None else path
        raise CaptionerError(f"--output: cannot write {place} ({error.strerror})") from error
