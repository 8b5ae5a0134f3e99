"""A cache's manifest, and the names of its shards.

The manifest is written last: where it lies, the cache was complete. Shards are named by their number and by
how many there are; each is an array in numpy's format that is there whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from captioner.errors import CaptionerError
from captioner.features.sharded import Features, ShardedArray
from captioner.system.atomic_files import write_whole

FORMAT = 1
MANIFEST = "manifest.json"
ROWS = 2000  # of a shard: minutes of work, some hundred megabytes


@dataclass(frozen=True)
class Manifest:
    """What a complete cache is.

    Attributes:
        key: hash of all that decides its content, as of :func:`captioner.features.identity.key_of`.
        count: of images.
        rows: images of each shard; the last one may have fewer.
        shape, dtype: of one image's features.
        folders: of photos, with their times of change; empty where each photo is looked at.
    """

    key: str
    count: int
    rows: int
    shape: tuple[int, ...]
    dtype: str
    folders: Mapping[str, int] = field(default_factory=dict)

    def write(self, place: Path) -> None:
        """Declare the cache complete.

        Raises:
            CaptionerError: the manifest cannot be written.
        """
        content = {"format": FORMAT, **asdict(self)}
        write_whole(place / MANIFEST, json.dumps(content, indent=1) + "\n", "run.cache")

    def open(self, place: Path) -> Features:
        """The features of all images, memory-mapped read-only: of one shard that very array.

        Raises:
            CaptionerError: the first shard is damaged; another one, when a row of it is read.
        """
        dtype, shards = np.dtype(self.dtype), shard_count(self.count, self.rows)

        def opened(number: int) -> np.ndarray:
            name = shard_name(number, shards)
            shard = open_array(place / name, place)
            expected = (min(self.rows, self.count - number * self.rows), *self.shape)
            if shard.shape != expected or shard.dtype != dtype:
                has = f"{name} has {shard.shape} of {shard.dtype}, not {expected} of {dtype}"
                raise CaptionerError(f"run.cache: {place} is damaged ({has}); delete it")
            return shard

        first = opened(0)
        if shards == 1:
            return first
        return ShardedArray(opened, self.rows, (self.count, *self.shape), dtype)


def read_manifest(place: Path) -> Manifest | None:
    """The manifest of a cache; None where none is, or not of a complete one any more.

    Raises:
        CaptionerError: it is damaged, or of a newer captioner.
    """
    try:
        content = json.loads((place / MANIFEST).read_bytes())
        if content.pop("format") > FORMAT:
            raise CaptionerError(f"run.cache: {place} was written by a newer captioner; install that")
        found = Manifest(**content | {"shape": tuple(content["shape"])})
        return None if missing_shards(place, found.count, found.rows) else found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CaptionerError(f"run.cache: {place / MANIFEST} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptionerError(f"run.cache: {place} is damaged ({MANIFEST}: {error}); delete it") from error


def shard_count(count: int, rows: int) -> int:
    """In how many shards so many images are."""
    return -(-count // rows)


def shard_name(number: int, shards: int) -> str:
    """The file of one of so many shards."""
    return f"{number:05d}-of-{shards:05d}.npy"


def missing_shards(place: Path, count: int, rows: int) -> list[int]:
    """The numbers of the shards that are not there."""
    there, shards = set(os.listdir(place)), shard_count(count, rows)
    return [number for number in range(shards) if shard_name(number, shards) not in there]


def open_array(path: Path, place: Path) -> np.ndarray:
    """An array of a cache, memory-mapped read-only.

    Raises:
        CaptionerError: the file is damaged.
    """
    try:
        found: np.ndarray = np.load(path, mmap_mode="r")
        return found
    except (OSError, ValueError) as error:
        raise CaptionerError(f"run.cache: {place} is damaged ({path.name}: {error}); delete it") from error
