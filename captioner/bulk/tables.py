"""Parquet files with an image a row: its bytes, or its path or address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from captioner.bulk.places import absolute, open_place, parent
from captioner.errors import CaptionerError, printable

IMAGES = ("image", "jpg", "bytes", "path", "file_name", "url")  # columns, the first that there is
KEYS = ("key", "__key__", "id")
READ_AT_ONCE = 64  # rows


class Row(NamedTuple):
    """A row's image.

    Attributes:
        key: of a column of that name, else the row's number.
        place: the image's path or address, or that of the table with ``#`` and the row's number.
        data: its bytes; None: they are at its place.
    """

    key: str
    place: str
    data: bytes | CaptionerError | None


def count_rows(place: str, column: str | None = None) -> int:
    """The rows of a table.

    Raises:
        CaptionerError: it is not a Parquet file, or has no column of images.
    """
    with open_place(place) as file:
        table = _table(file, place)
        _image_column(table.schema_arrow.names, place, column)
        return int(table.metadata.num_rows)


def rows(place: str, start: int, count: int, column: str | None = None) -> Iterator[Row]:
    """The images of some rows, in order.

    Raises:
        CaptionerError: as :func:`count_rows`.
    """
    with open_place(place) as file:
        table = _table(file, place)
        names = table.schema_arrow.names
        image = _image_column(names, place, column)
        key = next((name for name in KEYS if name in names), None)
        groups, before = _groups(table, start, count)
        number = before
        columns = [image] if key is None else [image, key]
        for batch in table.iter_batches(READ_AT_ONCE, row_groups=groups, columns=columns):
            for row in batch.to_pylist():
                if start <= number < start + count:
                    yield _row(row[image], str(number if key is None else row[key]), place, number)
                number += 1


def _table(file: Any, place: str) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise CaptionerError(f"{printable(place)}: needs pip install 'captioner[ray]'") from None
    try:
        return ParquetFile(file)
    except (ArrowException, OSError) as error:
        raise CaptionerError(f"{printable(place)}: is not a Parquet file ({error})") from None


def _image_column(names: list[str], place: str, column: str | None) -> str:
    for name in IMAGES if column is None else [column]:
        if name in names:
            return name
    raise CaptionerError(
        f"--column: {printable(place)} has no column {column or ' or '.join(IMAGES)}, "
        f"its columns are {', '.join(names)}"
    )


def _groups(table: Any, start: int, count: int) -> tuple[list[int], int]:
    """The row groups that hold some rows, and how many rows stand before them."""
    found, before, number = [], 0, 0
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        if number + rows <= start:
            before = number + rows
        elif number < start + count:
            found.append(group)
        number += rows
    return found, before


def _row(value: Any, key: str, place: str, number: int) -> Row:
    here = f"{place}#{number}"
    if isinstance(value, dict):  # as Hugging Face's datasets keep images
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return Row(key, here, value)
    if isinstance(value, str) and value:
        return Row(key, absolute(value, parent(place) or os.curdir), None)
    return Row(key, here, CaptionerError(f"{printable(here)}: holds neither bytes nor a path"))
