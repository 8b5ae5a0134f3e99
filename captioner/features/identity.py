"""What a cache is of: frozen weights, decoding, preprocessing and images; and whether these are as they were.

Up to a million images the size and the times of change of each are part of the key. That look takes some
30 us an image at every start, so of more images the key is of their list alone: sizes and times are kept
beside each shard when it is encoded, and a start looks at a sample of the photos and at their folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from captioner.data.index.open import LARGE
from captioner.data.index.records import listed, place_of
from captioner.data.photos.formats import with_decoding
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.model.encoder import Encoder

SAMPLE = 1000  # photos of such a list that are looked at in every start
MOST_FOLDERS = 10_000  # whose times are kept


def is_large(records: Sequence[Record]) -> bool:
    """Whether there are too many images to look at each in every start."""
    return len(records) >= LARGE


def key_of(encoder: Encoder, preprocess: Preprocess, records: Sequence[Record]) -> str:
    """Hash of all that decides what a cache holds.

    Records that have a ``digest``, of their images and in their order, are not read where they are many.

    Raises:
        CaptionerError: a photo is not there.
    """
    how = [encoder.fingerprint(), preprocess.image_size, preprocess.resize]
    content: list[object]
    if is_large(records):
        content = [3, *how, getattr(records, "digest", None) or _digest(records), *_drawn(records)]
    else:
        mirrored: object = any(record.mirrored for record in records)
        if mirrored and not all(record.mirrored for record in records):
            mirrored = [record.mirrored for record in records]
        images = [_name(record.source, _place_and_look) for record in records]
        content = [2, *how, mirrored, [*images, *_drawn(records)]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def looks(records: Iterable[Record]) -> np.ndarray:
    """Size and times of change of every image, ``(images, 3)`` of int64.

    Of a mosaic the sum of its photos' sizes and their last times; of a drawn image zeros.

    Raises:
        CaptionerError: a photo is not there.
    """
    found = []
    for record in records:
        of_photos = [_look(photo) for photo in _photos(record.source)] or [(0, 0, 0)]
        sizes, changed, renamed = zip(*of_photos)
        found.append((sum(sizes), max(changed), max(renamed)))
    return np.array(found, np.int64).reshape(-1, 3)


def sample(count: int) -> list[int]:
    """The numbers of some images, others in every start, in order; the source of chance is its own."""
    return sorted(random.Random().sample(range(count), min(SAMPLE, count)))


def folders_of(records: Iterable[Record]) -> dict[str, int]:
    """The folders of the photos, with their times of change, which files that come or go change too."""
    found: dict[str, int] = {}
    for photo in (photo for record in records for photo in _photos(record.source)):
        if (folder := os.path.dirname(photo)) not in found:
            found[folder] = _changed(folder)
            if len(found) == MOST_FOLDERS:
                break
    return found


def unchanged(folders: Mapping[str, int]) -> bool:
    """Whether no folder has changed since."""
    return all(_changed(folder) == before for folder, before in folders.items())


def _digest(records: Iterable[Record]) -> str:
    """Of the list of images; their captions do not matter."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(listed(_name(record.source, place_of), record.mirrored))
    return digest.hexdigest()


def _drawn(records: Sequence[Record]) -> list[str]:
    """Of drawn images, which change with the code, the pixels of the first."""
    if not records or isinstance(records[0].source, Path):
        return []
    return [hashlib.sha256(records[0].source().tobytes()).hexdigest()]


def _name(source: object, of_photo: Callable[[Path], object]) -> object:
    """What tells an image from all others: of a mosaic the names of its images, and how they are drawn."""
    if isinstance(source, Path):
        return of_photo(source)
    drawn_from = getattr(source, "args", source)
    if sources := _sources(source):
        return [[_name(one, of_photo) for one in sources], repr(drawn_from[1:])]  # type: ignore[index]
    return repr(drawn_from)


def _sources(source: object) -> list[object]:
    """The images that one is drawn from, as a mosaic is."""
    first = next(iter(getattr(source, "args", ())), None)
    return first if isinstance(first, list) else []


def _photos(source: object) -> list[Path]:
    if isinstance(source, Path):
        return [source]
    return [photo for one in _sources(source) for photo in _photos(one)]


def _place_and_look(photo: Path) -> object:
    return [with_decoding(str(photo.resolve())), *_look(photo)]


def _look(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise CaptionerError(f"{path}: {error.strerror}") from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or os.curdir).st_mtime_ns
    except OSError:  # its photos tell
        return 0
