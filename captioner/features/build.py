"""Encoding a cache, shard by shard: any process may encode any shard, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.features import manifest
from captioner.features.encode import encode
from captioner.features.identity import folders_of, is_large, key_of, looks, sample, unchanged
from captioner.features.manifest import (
    Manifest,
    missing_shards,
    open_array,
    read_manifest,
    shard_count,
    shard_name,
)
from captioner.features.sharded import Features
from captioner.model.encoder import Encoder
from captioner.system.atomic_files import whole_file

WHOLE = "features.npy"  # what caches of before shards are, and are still read
LOOKS = ".looks.npy"  # the ending of what is kept of a shard's photos


@dataclass(frozen=True)
class Build:
    """What an encoder's frozen part makes of some images, as far as it is there.

    Attributes:
        place: the cache's folder, which need not exist.
        key: hash of all that decides its content.
        workers: as of :func:`captioner.features.encode.encode`.
        rows: images of a shard.
    """

    place: Path
    key: str
    encoder: Encoder
    preprocess: Preprocess
    records: Sequence[Record]
    device: torch.device
    workers: int
    rows: int

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        preprocess: Preprocess,
        records: Sequence[Record],
        folder: Path,
        device: torch.device,
        workers: int = 0,
    ) -> Build:
        """The build in a folder of caches.

        Raises:
            CaptionerError: a photo is not there.
        """
        key = key_of(encoder, preprocess, records)
        return cls(folder / key, key, encoder, preprocess, records, device, workers, manifest.ROWS)

    def opened(self) -> Features | None:
        """The features of all images; None if a shard is missing, or photos seem to have changed since.

        Raises:
            CaptionerError: the cache is damaged.
        """
        if (self.place / WHOLE).is_file():
            return open_array(self.place / WHOLE, self.place)
        found = read_manifest(self.place)
        if found is None or not self._seems_unchanged(found):
            return None
        return found.open(self.place)

    @property
    def shards(self) -> int:
        """How many there are to be."""
        return shard_count(len(self.records), self.rows)

    def path(self, number: int) -> Path:
        """The file of a shard."""
        return self.place / shard_name(number, self.shards)

    def size(self, number: int) -> int:
        """How many images a shard has."""
        return min(self.rows, len(self.records) - number * self.rows)

    def images(self, number: int) -> Sequence[Record]:
        """Those of a shard."""
        return self.records[number * self.rows : (number + 1) * self.rows]

    def remaining(self) -> list[int]:
        """The numbers of the shards that are not there."""
        return missing_shards(self.place, len(self.records), self.rows)

    def encode(self, number: int, reads: Callable[[int], None] = lambda n: None) -> Iterator[int]:
        """Encode the images of a shard and write it, whole or not at all: at the end of the iteration.

        Args:
            reads: as of :func:`captioner.features.encode.encode`.

        Yields:
            How many images each batch has.

        Raises:
            CaptionerError: an image cannot be read, or the shard not be written.
        """
        images, path = self.images(number), self.path(number)
        if is_large(self.records):
            with whole_file(path.with_suffix(LOOKS), "run.cache") as file:
                np.save(file, looks(images))
        made = encode(self.encoder, self.preprocess, images, self.device, self.workers, reads)
        with closing(made) as batches:
            yield from _write(path, len(images), batches)

    def complete(self, written: Callable[[int], object] = lambda images: None) -> None:
        """Encode what is missing, and what is of photos that have changed since, and write the manifest.

        Args:
            written: is called with the number of images of each batch.

        Raises:
            CaptionerError: as :meth:`encode`.
        """
        while True:
            for number in self.remaining():
                for images in self.encode(number):
                    written(images)
            folders = folders_of(self.records) if is_large(self.records) else {}
            if not self._remove_changed():
                break
        first = open_array(self.path(0), self.place)
        count, (_, *shape) = len(self.records), first.shape
        Manifest(self.key, count, self.rows, tuple(shape), first.dtype.str, folders).write(self.place)

    def _kept(self, number: int) -> np.ndarray:
        """How a shard's photos looked when it was encoded."""
        return open_array(self.path(number).with_suffix(LOOKS), self.place)

    def _seems_unchanged(self, found: Manifest) -> bool:
        """Whether a sample of the photos is as it was encoded, where not all are part of the key."""
        if not is_large(self.records):
            return True
        if found.rows != self.rows or not unchanged(found.folders):
            return False
        numbers = sample(len(self.records))
        now = looks(self.records[n] for n in numbers)
        return all((self._kept(n // self.rows)[n % self.rows] == look).all() for n, look in zip(numbers, now))

    def _remove_changed(self) -> bool:
        """Remove the shards of photos that have changed since; returns whether there are any."""
        removed = False
        for number in range(self.shards if is_large(self.records) else 0):
            if not np.array_equal(self._kept(number), looks(self.images(number))):
                self.path(number).unlink(missing_ok=True)
                removed = True
        return removed


def _write(path: Path, count: int, batches: Iterator[np.ndarray]) -> Iterator[int]:
    """All batches as one array in numpy's format. (On a full disk a memory map would end the process.)"""
    with whole_file(path, "run.cache") as file:
        for i, batch in enumerate(batches):
            if i == 0:
                shape = (count, *batch.shape[1:])
                header = {"descr": np.lib.format.dtype_to_descr(batch.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
            file.write(np.ascontiguousarray(batch).data)
            yield len(batch)
