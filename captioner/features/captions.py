"""Every record's captions as word indices: in lists, or memory-mapped beside the index of the records.

The file is named by the records, the words and the longest caption. Indices take two bytes each where the
vocabulary is small enough.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from captioner.data.index.mapped import ROWS, Mapped, write_mapped
from captioner.data.index.open import tell_waiting
from captioner.data.index.records import IndexedRecords
from captioner.data.records import Record
from captioner.data.words import encode_captions, swapped_sides
from captioner.system.locks import owned
from captioner.vocabulary import Vocabulary

Captions = list[list[int]]  # of a record, each closed by ``<end>``
FORMAT = 1
TOGETHER = 1024  # records whose captions are encoded at a time


def encoded_captions(
    photos: Sequence[Record], mirrored: Sequence[Record], vocabulary: Vocabulary, max_length: int
) -> Sequence[Captions]:
    """The captions of photos, then those of their mirror images, as of ``data.words.encode_captions``.

    Args:
        mirrored: the mirror images, in the order of the photos, or none.

    Raises:
        CaptionerError: the file of a large split is damaged or cannot be written.
    """
    if not isinstance(photos, IndexedRecords) or not photos.is_whole:
        return encode_captions([*photos, *mirrored], vocabulary, max_length)
    content = [FORMAT, photos.content, vocabulary.words, vocabulary.unit, max_length]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    path = photos.path.with_name(f"captions-{key}.arrow")
    if not path.is_file():
        with owned(path.parent, wait=tell_waiting):
            if not path.is_file():
                print(f"indexing the captions of {len(photos):,} images", file=sys.stderr)
                _write(path, photos, vocabulary, max_length)
    return IndexedCaptions(Mapped(path), len(photos) + len(mirrored), swapped_sides(vocabulary))


class IndexedCaptions(Sequence[Captions]):
    """Captions in a memory-mapped file, those of mirror images made from those of the photos.

    Args:
        length: of the sequence, which has mirror images behind the file's rows if it is longer than they are.
        swapped: words of which a mirror image's captions have others.
    """

    def __init__(self, file: Mapped, length: int, swapped: dict[int, int]) -> None:
        self._file, self._length, self._swapped = file, length, swapped
        self._photos: int = file.metadata["images"]
        self._arrays: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Captions: ...
    @overload
    def __getitem__(self, place: slice) -> list[Captions]: ...
    def __getitem__(self, place: int | slice) -> Captions | list[Captions]:
        if isinstance(place, slice):
            return [self[number] for number in range(self._length)[place]]
        copy, number = divmod(range(self._length)[place], self._photos)
        batch, row = divmod(number, self._file.rows)
        of_record, of_caption, words = self._arrays.get(batch) or self._mapped(batch)
        ends = of_caption[of_record[row] : of_record[row + 1] + 1].tolist()
        all_words = words[ends[0] : ends[-1]].tolist()
        captions: Captions = [all_words[first - ends[0] : end - ends[0]] for first, end in pairwise(ends)]
        if copy and self._swapped:
            captions = [[self._swapped.get(word, word) for word in words] for words in captions]
        return captions

    def _mapped(self, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where a batch's records and captions begin, and all its words: the file's own pages."""
        records = self._file.batch(batch).column(0)
        arrays = (records.offsets, records.values.offsets, records.values.values)
        self._arrays[batch] = tuple(array.to_numpy() for array in arrays)
        return self._arrays[batch]


def _write(path: Path, records: IndexedRecords, vocabulary: Vocabulary, max_length: int) -> None:
    import pyarrow as pa

    word = pa.uint16() if len(vocabulary) <= np.iinfo(np.uint16).max else pa.int32()
    schema = pa.schema([("captions", pa.list_(pa.list_(word)))])

    def batches() -> Iterator[list[Any]]:
        for first in range(0, len(records), ROWS):
            of_batch = records[first : first + ROWS]
            parts = [
                pa.array(
                    encode_captions(of_batch[start : start + TOGETHER], vocabulary, max_length),
                    schema.field(0).type,
                )
                for start in range(0, len(of_batch), TOGETHER)
            ]
            yield [pa.concat_arrays(parts)]

    write_mapped(path, schema, {"images": len(records)}, ROWS, batches())
