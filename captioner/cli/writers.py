"""What ``captioner caption`` writes of every photo, one format a class."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Protocol, TextIO

from captioner.caption import Caption
from captioner.data.photos.image import printable
from captioner.errors import CaptionerError

Result = Caption | CaptionerError


class Writer(Protocol):
    """Writes captions and errors, one photo after the other, each as soon as it is known."""

    def __init__(self, file: TextIO) -> None: ...

    def write(self, path: Path, result: Result) -> None: ...


class TextWriter:
    """``path<TAB>caption``; errors go to standard error."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, path: Path, result: Result) -> None:
        if isinstance(result, CaptionerError):
            print(f"captioner: {result}", file=sys.stderr)
        else:
            print(f"{printable(path)}\t{result.text}", file=self.file, flush=True)


class JSONLWriter:
    """One JSON object per line: path, caption, words and log_prob, or path and error."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, path: Path, result: Result) -> None:
        print(json.dumps(as_record(path, result)), file=self.file, flush=True)


WRITERS: dict[str, type[Writer]] = {"text": TextWriter, "jsonl": JSONLWriter}


def as_record(path: Path, result: Result) -> dict[str, object]:
    """One line of JSONL: path, caption, words and log_prob, or path and error."""
    if isinstance(result, CaptionerError):
        return {"path": str(path), "error": str(result)}
    return {
        "path": str(path),
        "caption": result.text,
        "words": list(result.words),
        "log_prob": round(result.log_prob, 4),
    }
