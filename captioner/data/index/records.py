"""The records of a split, each made from its row of the index when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

from captioner.data.index.mapped import ROWS, Mapped, write_mapped
from captioner.data.photos.formats import with_decoding
from captioner.data.records import Record

TOGETHER = 1024  # rows that an iteration turns into Python's values at a time


def write_records(path: Path, records: Sequence[Record], metadata: dict[str, Any]) -> None:
    """Write the index of photos, groundings left out; digests of what it holds join the metadata.

    Raises:
        CaptionerError: it cannot be written.
    """
    import pyarrow as pa

    schema = pa.schema(
        [
            ("image_id", pa.binary()),
            ("is_number", pa.bool_()),
            ("source", pa.binary()),
            ("captions", pa.list_(pa.string())),
        ]
    )
    content, photos, mirrored = sha256(), sha256(), sha256()
    for record in records:
        content.update(repr((record.image_id, str(record.source), record.captions)).encode())
        place = place_of(str(record.source))
        photos.update(listed(place, mirrored=False))
        mirrored.update(listed(place, mirrored=True))
    digests = {"content": content.hexdigest(), "digests": [photos.hexdigest(), mirrored.hexdigest()]}
    parts = (records[first : first + ROWS] for first in range(0, len(records), ROWS))
    write_mapped(path, schema, metadata | digests, ROWS, map(_columns, parts))


def place_of(photo: str | Path) -> str:
    """A photo's name in the digest of a list of images."""
    return with_decoding(os.path.abspath(photo))


def listed(name: object, mirrored: bool) -> bytes:
    """What an image adds to the digest of a list of images."""
    return f"{int(mirrored)}{name}\0".encode(errors="surrogateescape")


def _columns(records: Sequence[Record]) -> list[Any]:
    return [
        [str(record.image_id).encode(errors="surrogatepass") for record in records],
        [isinstance(record.image_id, int) for record in records],
        [os.fsencode(str(record.source)) for record in records],
        [record.captions for record in records],
    ]


class IndexedRecords(Sequence[Record]):
    """A split's records in a memory-mapped file; slices and mirror images are views of the same file.

    Args:
        file: from :func:`write_records`.
        numbers: which rows; None: all.
        mirrored: whether the records are those of the mirror images.
    """

    def __init__(self, file: Mapped, numbers: range | None = None, mirrored: bool = False) -> None:
        self._file, self._mirrored = file, mirrored
        self._numbers = range(file.metadata["images"]) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> IndexedRecords: ...
    def __getitem__(self, place: int | slice) -> Record | IndexedRecords:
        if isinstance(place, slice):
            return IndexedRecords(self._file, self._numbers[place], self._mirrored)
        batch, row = divmod(self._numbers[place], self._file.rows)
        return next(self._rows(batch, row, row + 1))

    def __iter__(self) -> Iterator[Record]:
        if self._numbers.step != 1:
            yield from map(self.__getitem__, range(len(self)))
            return
        first, end = self._numbers.start, self._numbers.stop
        while first < end:
            batch, row = divmod(first, self._file.rows)
            count = min(TOGETHER, self._file.rows - row, end - first)
            yield from self._rows(batch, row, row + count)
            first += count

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def is_whole(self) -> bool:
        """Whether these are all records of the file, in its order."""
        return self._numbers == range(self._file.metadata["images"])

    @property
    def content(self) -> str:
        """A digest of all that the file holds."""
        return str(self._file.metadata["content"])

    @property
    def digest(self) -> str | None:
        """A digest of the list of images, by which a cache of their annotations is named; None of a part."""
        return self._file.metadata["digests"][self._mirrored] if self.is_whole else None

    def mirror_images(self) -> IndexedRecords:
        """The same with left and right swapped."""
        return IndexedRecords(self._file, self._numbers, not self._mirrored)

    def _rows(self, batch: int, first: int, end: int) -> Iterator[Record]:
        columns = self._file.batch(batch).slice(first, end - first).columns
        try:
            for name, is_number, source, captions in zip(*(column.to_pylist() for column in columns)):
                image_id = name.decode(errors="surrogatepass")
                yield Record(
                    int(image_id) if is_number else image_id,
                    Path(os.fsdecode(source)),
                    tuple(captions),
                    mirrored=self._mirrored,
                )
        except (ValueError, TypeError, AttributeError) as error:
            raise self._file.damaged(error) from error
