"""What a stopped ``captioner caption`` wrote to its JSONL file, from which the next one resumes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.system.locks import owned

START = b'{"path": '  # of every record


@dataclass
class Recorded:
    """Images with a record, counted, since one may be named twice; and how many records are errors."""

    paths: Counter[str] = field(default_factory=Counter)
    failed: int = 0


@contextmanager
def resumed(path: Path) -> Iterator[Recorded]:
    """The records of a file, created if missing, which only this process may write to.

    A half-written last line is cut off.

    Raises:
        CaptionerError: the file cannot be read and written, holds something else, or another process
            is writing to it.
    """
    try:
        path.touch()
        if not path.is_file():  # a device may be read without end
            raise CaptionerError(f"--resume: {path} is not a file")
        with owned(path) as mine:
            if not mine:
                raise CaptionerError(f"--resume: another process is writing to {path}")
            yield _read(path)
    except OSError as error:
        raise CaptionerError(f"--output: cannot write {path} ({error.strerror or error})") from error


def _read(path: Path) -> Recorded:
    found, whole = Recorded(), 0
    with open(path, "rb+") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") and START.startswith(line[: len(START)]):
                break
            record = _parse(line)
            if record is None:
                raise CaptionerError(
                    f"--resume: line {number} of {path} is not a record of captioner caption"
                )
            found.paths[record["path"]] += 1
            found.failed += "error" in record
            whole += len(line)
        file.truncate(whole)
    return found


def _parse(line: bytes) -> dict[str, str] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    sound = isinstance(record, dict) and isinstance(record.get("path"), str) and line.endswith(b"\n")
    return record if sound else None
