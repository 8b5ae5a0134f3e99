"""The output of a shard: its records as JSON lines or as Parquet, written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from captioner.bulk.caption import Record
from captioner.errors import CaptionerError, check_choice
from captioner.system.atomic_files import whole_file

FIELDS = ("key", "place", "caption", "words", "log_prob", "error")
SURROGATE = re.compile("[\ud800-\udfff]")
AT_ONCE = 10_000  # records that are held of a file
FORMATS = ("jsonl", "parquet")


def check_format(name: str, place: str) -> None:
    """Refuse a format that is not there.

    Raises:
        CaptionerError: there is none of the name, or pyarrow, which writes it, is not installed.
    """
    check_choice(name, FORMATS, place)
    if name == "parquet" and find_spec("pyarrow") is None:
        raise CaptionerError(f"{place}: parquet needs pip install 'captioner[ray]'")


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write records in the format that the path's ending names; returns how many.

    Raises:
        CaptionerError: the file cannot be written; what stood there before is as it was.
    """
    with whole_file(path, "--output") as file:
        return _write_parquet(file, records) if path.suffix == ".parquet" else _write_lines(file, records)


def read_records(path: Path) -> Iterator[Record]:
    """The records of an output.

    Raises:
        CaptionerError: the file cannot be read, or holds something else.
    """
    try:
        yield from _read_parquet(path) if path.suffix == ".parquet" else _read_lines(path)
    except OSError as error:
        raise CaptionerError(f"{path}: cannot be read ({error.strerror or error})") from error


def as_json(record: Record) -> bytes:
    """One line; only what UTF-8 cannot hold, a byte of a file's name, is escaped."""
    text = json.dumps(record, ensure_ascii=False)
    return SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode() + b"\n"


def _write_lines(file: BinaryIO, records: Iterable[Record]) -> int:
    count = 0
    for record in records:
        file.write(as_json(record))
        count += 1
    return count


def _read_lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            yield _checked(record, f"line {number}", path)


def _write_parquet(file: BinaryIO, records: Iterable[Record]) -> int:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = _schema()
    count, remaining = 0, iter(records)
    with ParquetWriter(file, schema) as writer:
        while held := list(islice(remaining, AT_ONCE)):
            rows = [{name: _unicode(record.get(name)) for name in FIELDS} for record in held]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(held)
    return count


def _read_parquet(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as file:
            for batch in ParquetFile(file).iter_batches(AT_ONCE):
                for row in batch.to_pylist():
                    record = {name: value for name, value in row.items() if value is not None}
                    yield _checked(record, "a row", path)
    except ArrowException as error:
        raise CaptionerError(f"{path}: is not a Parquet file ({error})") from None


def _schema() -> Any:
    import pyarrow as pa

    types = {"words": pa.list_(pa.string()), "log_prob": pa.float64()}
    return pa.schema([(name, types.get(name, pa.string())) for name in FIELDS])


def _unicode(value: Any) -> Any:
    """Text as Parquet can hold it: a byte of a file's name that is not UTF-8 becomes a question mark."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checked(record: Any, place: str, path: Path) -> Record:
    if not isinstance(record, dict) or not isinstance(record.get("caption", record.get("error")), str):
        raise CaptionerError(f"{path}: {place} is not a record of a shard")
    return record
