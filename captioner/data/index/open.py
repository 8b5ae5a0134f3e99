"""A split's records, from an index where they are many.

An index is a folder named by a hash of the data configuration. Its file says which caption files and image
folders it was read from; once one of them has changed it is built again. One process builds it, others wait.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from captioner.config.data import DataConfig, FilesConfig
from captioner.config.places import absolute_data
from captioner.data.formats.seen import unchanged
from captioner.data.index.build import build
from captioner.data.index.mapped import Mapped, has_arrow
from captioner.data.index.records import IndexedRecords
from captioner.data.load import data_files, load_split
from captioner.data.photos.formats import DECODING
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.system.atomic_files import UNFINISHED, make_folder
from captioner.system.locks import owned
from captioner.version import __version__

LARGE = 1_000_000  # images, from which on ``auto`` takes an index
FEWEST_BYTES = 20  # of an image in a caption file: its name and a word
FORMAT = 1  # of the files
FILE = "records.arrow"
INSTALL = "pip install 'captioner[large]'"


def open_split(
    config: DataConfig, split: str, choice: str, folder: Path, notes: list[str] | None = None
) -> Sequence[Record]:
    """The records of a split as :func:`captioner.data.load.load_split` reads them, perhaps from an index.

    Args:
        choice: ``auto`` takes an index from a million images on, if pyarrow is there; ``always`` does of any
            photos; ``never``. Drawn images have none.
        folder: where indexes live.
        notes: as of :func:`captioner.data.load.load_split`.

    Raises:
        CaptionerError: as of :func:`captioner.data.load.load_split`; or pyarrow is not installed, or the
            index is damaged or cannot be written.
    """
    if choice == "always" and not has_arrow():
        raise CaptionerError(f"run.index: always needs pyarrow: {INSTALL}")
    may_be_large = _caption_bytes(config) >= LARGE * FEWEST_BYTES
    if choice == "never" or not isinstance(config, FilesConfig) or (choice == "auto" and not may_be_large):
        return load_split(config, split, notes=notes)
    if not has_arrow():
        records = load_split(config, split, notes=notes)
        if len(records) >= LARGE and notes is not None:
            notes.append(f"{len(records):,} records are held by every process; not with pyarrow: {INSTALL}")
        return records
    config = absolute_data(config)
    file = _opened(config, split, 0 if choice == "always" else LARGE, folder)
    if not file.metadata["stored"]:
        return load_split(config, split, notes=notes)
    if notes is not None:
        notes.extend(file.metadata["notes"])
    return IndexedRecords(file)


def _opened(config: DataConfig, split: str, least: int, folder: Path) -> Mapped:
    content = json.dumps([FORMAT, DECODING, __version__, split, asdict(config)])
    place = folder / f"index-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
    while (file := _current(place / FILE, least)) is None:
        make_folder(place, "run.cache")
        with suppress(FileNotFoundError), owned(place, wait=tell_waiting):
            if (file := _current(place / FILE, least)) is None:
                remove_old(place)
                try:
                    build(place / FILE, config, split, least)
                except BaseException:
                    with suppress(OSError):
                        place.rmdir()
                    raise
                file = Mapped(place / FILE)  # whose sources may change again while others are being read
            return file
    return file


def _current(path: Path, least: int) -> Mapped | None:
    """The index, if it is there, of what the files hold now, and of as many images as it should hold."""
    if not path.is_file():
        return None
    file = Mapped(path)
    try:
        stored, images, looks = (file.metadata[key] for key in ("stored", "images", "looks"))
        return file if (stored or images < least) and unchanged(looks) else None
    except (LookupError, TypeError, AttributeError) as error:
        raise file.damaged(error) from error


def remove_old(place: Path) -> None:
    """Remove what was made of an index that is built anew, and what killed builders left."""
    for path in (*place.glob("captions-*.arrow"), *place.glob(f".*{UNFINISHED}")):
        path.unlink(missing_ok=True)


def tell_waiting() -> None:
    """Say why nothing happens."""
    print("waiting for another process that builds the same index", file=sys.stderr)


def _caption_bytes(config: DataConfig) -> int:
    return sum(path.stat().st_size for path in data_files(config) if path.is_file())
