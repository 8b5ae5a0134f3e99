"""Records on their way into one file, which appears when it is complete.

Until then they stand in ``FILE.part``, a JSON object per line, whatever the format of the file: a command
stopped at any point loses no record, and ``--resume`` continues from there, or from a complete file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from captioner.cli.output.formats import START, Format, as_json
from captioner.cli.output.records import Record
from captioner.errors import CaptionerError
from captioner.system.atomic_files import remove_unfinished, whole_file
from captioner.system.locks import owned
from captioner.system.outputs import refuse_existing

BEGINNING = START.encode()


class Journal:
    """The records of one command and, when it resumes, of those before it.

    Attributes:
        recorded: how many records each path has; a photo may be named twice.
        failed: how many records are errors.
        total: how many records there are.
    """

    def __init__(self, open_file: Callable[[], BinaryIO]) -> None:
        self._open = open_file
        self._file: BinaryIO | None = None
        self.recorded: Counter[str] = Counter()
        self.failed = self.total = 0

    def write(self, record: Record) -> None:
        """Add a record; the file is made for the first one."""
        self.note(record)
        self.count(record)

    def note(self, record: Record) -> None:
        """Add what is only begun: a record with neither a caption nor an error, which does not count."""
        if self._file is None:
            self._file = self._open()
        self._file.write(as_json(record).encode() + b"\n")
        self._file.flush()

    def count(self, record: Record) -> None:
        """Count a record that was written before."""
        self.recorded[record["path"]] += 1
        self.failed += "error" in record
        self.total += 1

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@contextmanager
def journal(
    output: Path, written_as: Format, resume: bool, overwrite: bool, retry_errors: bool = False
) -> Iterator[Journal]:
    """A journal, whose records become the file ``output`` at the end of the block.

    Args:
        resume: continue with the records of ``output.part`` or of ``output``.
        overwrite: both may be replaced.
        retry_errors: forget the errors among the records that there are.

    Raises:
        CaptionerError: the file exists, cannot be read or written, holds something else, or another
            process is writing to it.
    """
    part = part_of(output)
    if not output.parent.is_dir():
        raise CaptionerError(f"--output: there is no folder {output.parent}")
    if resume:
        remove_unfinished(output.parent, [output.name, part.name])
    if resume and output.exists() and not part.exists():
        _copy_records(output, part, written_as)
    elif not resume and (output.is_dir() or (output.exists() and output.stat().st_size)):
        refuse_existing([output], "--output", overwrite, "--resume continues it, --overwrite")
    with unfinished(part, resume, overwrite, retry_errors) as opened:
        yield opened
        if opened.total:
            _complete(part, output, written_as)


@contextmanager
def unfinished(
    part: Path,
    resume: bool,
    overwrite: bool,
    retry_errors: bool = False,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Iterator[Journal]:
    """A journal that is removed at the end of the block, and kept if the block ends with an exception.

    Args:
        resume, overwrite, retry_errors: as of :func:`journal`, for the journal of a stopped command.
        on_record: is called with each of that command's records, and what it had begun, except errors.

    Raises:
        CaptionerError: as :func:`journal`.
    """
    try:
        if not resume:
            _refuse_stopped(part, overwrite)
            yield from _removed(Journal(lambda: part.open("wb" if overwrite else "xb")), part)
            return
        part.touch()
        if retry_errors:
            with _locked(part):
                _drop_errors(part)
        with _locked(part):
            opened = Journal(lambda: part.open("ab"))
            for record in _continued(part):
                if "caption" in record or "error" in record:
                    opened.count(record)
                if "error" not in record:
                    on_record(record)
            yield from _removed(opened, part)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CaptionerError(f"--output: cannot write {error.filename or part} ({error.strerror})") from error


def part_of(output: Path) -> Path:
    """Where the records stand until the output is complete."""
    return output.with_name(f"{output.name}.part")


def _removed(opened: Journal, part: Path) -> Iterator[Journal]:
    try:
        yield opened
    except BaseException:
        opened.close()
        if not opened.total:
            part.unlink(missing_ok=True)
        raise
    opened.close()
    part.unlink(missing_ok=True)


def _complete(part: Path, output: Path, written_as: Format) -> None:
    with open(part, "rb") as file, whole_file(output, "--output") as whole:
        whole.write(written_as.head.encode())
        for number, line in enumerate(file):
            row = written_as.row(json.loads(line), number == 0)
            whole.write(row.encode("utf-8", "surrogateescape"))
        whole.write(written_as.foot.encode())


def _refuse_stopped(part: Path, overwrite: bool) -> None:
    if part.exists() and not (overwrite and _is_journal(part)):
        what = "holds what a stopped command did" if _is_journal(part) else "is a file of another kind"
        raise CaptionerError(f"--output: {part} {what}; --resume continues it, --overwrite starts over")


def _is_journal(part: Path) -> bool:
    with open(part, "rb") as file:
        start = file.read(len(BEGINNING))
    return BEGINNING.startswith(start)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    with owned(part) as mine:
        if not mine:
            raise CaptionerError(f"--resume: another process is writing to {part}")
        yield


def _continued(part: Path) -> Iterator[Record]:
    """The records of a journal; its half-written last line is cut off."""
    whole = 0
    with open(part, "rb+") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") and BEGINNING.startswith(line[: len(BEGINNING)]):
                break
            yield _parse(line, number, part)
            whole += len(line)
        file.truncate(whole)


def _drop_errors(part: Path) -> None:
    with open(part, "rb") as file, whole_file(part, "--output") as whole:
        whole.writelines(line for n, line in enumerate(file, 1) if "error" not in _parse(line, n, part))


def _parse(line: bytes, number: int, path: Path) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("path"), str) or not line.endswith(b"\n"):
        raise CaptionerError(f"--resume: line {number} of {path} is not a record of captioner caption")
    return record


def _copy_records(output: Path, part: Path, written_as: Format) -> None:
    """Begin a journal with the records of a complete file."""
    if not output.is_file():  # a device may be read without end
        raise CaptionerError(f"--resume: {output} is not a file")
    try:
        with (
            open(output, encoding="utf-8", errors="surrogateescape", newline="") as file,
            whole_file(part, "--output") as whole,
        ):
            whole.writelines(as_json(record).encode() + b"\n" for record in written_as.read(file))
    except CaptionerError as error:
        raise CaptionerError(f"--resume: {output}: {error}") from None
    except ValueError as error:
        raise CaptionerError(f"--resume: {output} cannot be read ({error})") from None
