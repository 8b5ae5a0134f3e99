"""Records as they come, to standard output, a device or a pipe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from captioner.cli.output.formats import Format
from captioner.cli.output.records import Record
from captioner.errors import CaptionerError


class Stream:
    """Writes records in a format; nothing was recorded before.

    Attributes:
        failed, total: records that are errors, and all.
    """

    def __init__(self, file: TextIO, written_as: Format) -> None:
        self._file, self._format = file, written_as
        self.recorded: Counter[str] = Counter()
        self.failed = self.total = 0

    def write(self, record: Record) -> None:
        """Write a record at once."""
        head = "" if self.total else self._format.head
        print(head + self._format.row(record, not self.total), end="", file=self._file, flush=True)
        self.total += 1
        self.failed += "error" in record


@contextmanager
def stream(path: Path | None, written_as: Format) -> Iterator[Stream]:
    """A stream to a device or pipe, or to standard output.

    Raises:
        CaptionerError: it cannot be written to.
    """
    try:
        if path is None:
            opened = Stream(sys.stdout, written_as)
            yield opened
            if opened.total:
                print(written_as.foot, end="", flush=True)
            return
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            opened = Stream(file, written_as)
            yield opened
            file.write(written_as.foot if opened.total else "")
    except BrokenPipeError:
        raise
    except OSError as error:
        place = "to standard output" if path is None else path
        raise CaptionerError(f"--output: cannot write {place} ({error.strerror})") from error
