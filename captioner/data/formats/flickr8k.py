"""Flickr8k (Hodosh et al. 2013) in the files of its authors, in Kaggle's, and whatever has their form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from captioner.config.data import Flickr8kConfig
from captioner.data.formats.division import check_shares, divided, told
from captioner.data.formats.files import (
    NO_CAPTION,
    TWICE,
    Fault,
    Faults,
    ImageFolder,
    Notes,
    noted,
    read_lines,
)
from captioner.data.formats.seen import saw
from captioner.data.formats.token_file import read_captions
from captioner.data.records import Record
from captioner.errors import CaptionerError

CAPTIONS = ("Flickr8k.token.txt", "captions.txt")  # the authors' and Kaggle's
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
IMAGE_FOLDERS = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset")  # the typo is theirs


def load_flickr8k(
    config: Flickr8kConfig, split: str, faults: Faults = None, notes: Notes = None
) -> list[Record]:
    """The records of a split, in the order of its list; file names are the image ids.

    Where there is no list at all, the images of the caption file are divided by ``data.split_seed``.

    Raises:
        CaptionerError: the split's list is missing, or an image in it has no file or no caption.
    """
    root = Path(os.path.expanduser(config.root))
    if not root.is_dir():
        raise CaptionerError(f"data.root: there is no folder {root}")
    lists = _lists(root, config)
    names = _read_list(root, lists, split, faults) if lists else None
    images = _image_folder(root, config.images)
    path = _caption_file(root, config.captions)
    if names is None and split != "train" and faults is not None:
        faults = []  # they are the training split's
    captions, places = read_captions(path, "data.captions" if config.captions else "data.root", faults)
    if names is not None:
        known = _by_stem(list(captions))
        return _records(
            {known.get(name, name): at for name, at in names.items()}, captions, images, path, faults
        )
    shares = (config.val_share, config.test_share)
    check_shares(*shares)
    splits = divided(_records(places, captions, images, path, faults), config.split_seed, *shares)
    if notes is not None and split == "train":
        notes.append(told(splits, f"{root} has no lists of splits", config.split_seed, *shares))
    if split == "test" and not splits["test"]:
        raise CaptionerError("data.test_share: 0 of the images are the test split")
    return splits[split]


def _records(
    names: dict[str, str], captions: dict[str, list[str]], images: ImageFolder, path: Path, faults: Faults
) -> list[Record]:
    records = []
    for name, place in names.items():
        with noted(faults):
            if not captions.get(name):
                raise Fault(NO_CAPTION, f"{place}: the image {name} has no caption in {path.name}")
            records.append(Record(name, images.find(name, place), tuple(captions[name])))
    return records


def _lists(root: Path, config: Flickr8kConfig) -> dict[str, Path]:
    """The lists that there are, or should be as they are named, by split."""
    named = {"train": config.train, "val": config.val, "test": config.test}
    lists = {}
    for split, given in named.items():
        if given is not None:
            lists[split] = root / os.path.expanduser(given)
        else:
            saw(root / LISTS[split])
            if (root / LISTS[split]).is_file():
                lists[split] = root / LISTS[split]
    return lists


def _read_list(root: Path, lists: dict[str, Path], split: str, faults: Faults) -> dict[str, str]:
    """The split's image names, each with the place where it stands."""
    if split not in lists:
        raise CaptionerError(
            f"data.{split}: no list of images is named, and {root} has no {LISTS[split]}; "
            f"splits there: {', '.join(lists) or 'none'}"
        )
    path = lists[split]
    names: dict[str, str] = {}
    for place, name in read_lines(path, f"data.{split}"):
        with noted(faults):
            if name in names:
                raise Fault(TWICE, f"{place}: the image {name} is in the list twice")
            names[name] = place
    if not names:
        raise CaptionerError(f"{path}: names no image")
    return names


def _by_stem(names: Sequence[str]) -> dict[str, str]:
    """Names by what they are without their ending, where that is clear: some lists leave it out."""
    whole = set(names)
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(os.path.splitext(name)[0], []).append(name)
    return {stem: of[0] for stem, of in stems.items() if len(of) == 1 and stem not in whole}


def _image_folder(root: Path, given: str | None) -> ImageFolder:
    if given is not None:
        return ImageFolder(root / os.path.expanduser(given), "data.images")
    for name in IMAGE_FOLDERS:
        saw(root / name)
        if (root / name).is_dir():
            return ImageFolder(root / name, "data.images")
    raise CaptionerError(f"data.images: name the image folder; {root} has none of {', '.join(IMAGE_FOLDERS)}")


def _caption_file(root: Path, given: str | None) -> Path:
    if given is not None:
        return root / os.path.expanduser(given)
    for name in CAPTIONS:
        saw(root / name)
        if os.path.lexists(root / name):
            return root / name
    raise CaptionerError(f"data.captions: name the caption file; {root} has none of {', '.join(CAPTIONS)}")
