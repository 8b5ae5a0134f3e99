"""Flickr8k (Hodosh et al. 2013) in the files of its authors."""

from __future__ import annotations

import os
from pathlib import Path

from captioner.config.data import Flickr8kConfig
from captioner.data.formats.files import (
    NO_CAPTION,
    TWICE,
    Fault,
    Faults,
    ImageFolder,
    clean_caption,
    noted,
    read_lines,
)
from captioner.data.records import Record
from captioner.errors import CaptionerError, choose

CAPTIONS = "Flickr8k.token.txt"
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
IMAGE_FOLDERS = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset")  # the typo is theirs


def load_flickr8k(config: Flickr8kConfig, split: str, faults: Faults = None) -> list[Record]:
    """The records of a split, in the order of its list; file names are the image ids.

    Raises:
        CaptionerError: the split's list is missing, or an image in it has no file or no caption.
    """
    root = Path(os.path.expanduser(config.root))
    if not root.is_dir():
        raise CaptionerError(f"data.root: there is no folder {root}")
    names = _read_list(root, split, faults)
    images = _image_folder(root, config.images)
    captions = _read_captions(root / CAPTIONS, faults)
    records = []
    for name, place in names.items():
        with noted(faults):
            if name not in captions:
                raise Fault(NO_CAPTION, f"{place}: the image {name} has no caption in {CAPTIONS}")
            records.append(Record(name, images.find(name, place), tuple(captions[name])))
    return records


def _read_list(root: Path, split: str, faults: Faults) -> dict[str, str]:
    """The split's image names, each with the place where it stands."""
    path = root / choose(LISTS, split, "split")
    if not path.is_file():
        there = [name for name, file in LISTS.items() if (root / file).is_file()]
        raise CaptionerError(
            f"data.root: {root} has no split {split!r} ({path.name} is missing); "
            f"splits there: {', '.join(there) or 'none'}"
        )
    names: dict[str, str] = {}
    for place, name in read_lines(path, "data.root"):
        with noted(faults):
            if name in names:
                raise Fault(TWICE, f"{place}: the image {name} is in the list twice")
            names[name] = place
    if not names:
        raise CaptionerError(f"{path}: names no image")
    return names


def _image_folder(root: Path, given: str | None) -> ImageFolder:
    if given is not None:
        return ImageFolder(root / given, "data.images")
    for name in IMAGE_FOLDERS:
        if (root / name).is_dir():
            return ImageFolder(root / name, "data.images")
    raise CaptionerError(f"data.images: name the image folder; {root} has none of {', '.join(IMAGE_FOLDERS)}")


def _read_captions(path: Path, faults: Faults) -> dict[str, list[str]]:
    """The captions of every image, in the order of the file."""
    captions: dict[str, list[str]] = {}
    for place, line in read_lines(path, "data.root"):
        with noted(faults):
            key, tab, caption = line.partition("\t")
            name, mark, _ = key.rpartition("#")
            if not (tab and mark):
                raise CaptionerError(f"{place}: is not of the form name#number<TAB>caption")
            captions.setdefault(name, []).append(clean_caption(caption, place))
    return captions
