"""``captioner caption PATH... --checkpoint FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from captioner.captioning import Caption
from captioner.cli.photos import captions, photo_parser
from captioner.data.images import printable
from captioner.errors import CaptionerError


def run(arguments: Sequence[str]) -> int:
    """Print or write a caption an image, in order; 1 if an image could not be read."""
    parser = photo_parser("caption", "Caption images.")
    parser.add_argument("--format", choices=("text", "jsonl"), default="text")
    parser.add_argument("--output", metavar="FILE", help="write there instead of printing")
    options = parser.parse_args(arguments)
    failed = total = 0
    results = captions(options, attention=False)
    with _opened(options.output) as output:
        for path, result in results:
            total += 1
            failed += isinstance(result, CaptionerError)
            if options.format == "jsonl":
                print(json.dumps(as_record(path, result)), file=output, flush=True)
            elif isinstance(result, CaptionerError):
                print(f"captioner: {result}", file=sys.stderr)
            else:
                print(f"{printable(path)}\t{result.text}", file=output, flush=True)
    if failed:
        print(f"captioner: {failed} of {total} images could not be read", file=sys.stderr)
    return 1 if failed else 0


def as_record(path: Path, result: Caption | CaptionerError) -> dict[str, object]:
    """One line of JSONL: path, caption, words and log_prob, or path and error."""
    if isinstance(result, CaptionerError):
        return {"path": str(path), "error": str(result)}
    return {
        "path": str(path),
        "caption": result.text,
        "words": list(result.words),
        "log_prob": round(result.log_prob, 4),
    }


@contextmanager
def _opened(path: str | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise CaptionerError(f"--output: cannot write {path} ({error.strerror})") from error
