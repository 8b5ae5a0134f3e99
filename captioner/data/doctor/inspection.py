"""Every image of a dataset read once: can it be decoded, and which others are the same file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from captioner.data.photos.image import load_image
from captioner.data.photos.prefetch import prefetched
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.system.terminal import no_bar

BATCH = 16  # images between two reports of progress
CHUNK = 2**20  # bytes


@dataclass(frozen=True)
class Reading:
    """What reading one image found.

    Attributes:
        digest: SHA-256 of the file's bytes, of the pixels where the image is drawn; empty if there was
            nothing to read.
        error: why it cannot be decoded, empty if it can.
    """

    digest: str
    error: str = ""


def read_images(records: Sequence[Record], workers: int, title: str, progress: bool) -> list[Reading]:
    """Read every record's image, in their order, with ``workers`` threads."""
    readings: list[Reading] = []
    with tqdm(total=len(records), desc=title, unit="image", leave=False, disable=no_bar(progress)) as bar:
        for batch in prefetched(records, _read, BATCH, workers):
            readings += batch
            bar.update(len(batch))
    return readings


def _read(record: Record) -> Reading:
    """The image is decoded whole, as training would."""
    source, error = record.source, ""
    try:
        image = load_image(source, draft=1)  # reads all of a JPEG's data, and is done sooner
    except CaptionerError as problem:
        error = str(problem)
    if isinstance(source, Path):
        return Reading(_digest(source), error)
    return Reading("" if error else hashlib.sha256(image.tobytes()).hexdigest(), error)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()
