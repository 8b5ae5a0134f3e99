"""COCO captions (Chen et al. 2015): a ``captions_*.json`` file and an image folder a split."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.config.data import CocoConfig
from captioner.data.formats.files import (
    NO_CAPTION,
    NO_IMAGE,
    TWICE,
    Fault,
    Faults,
    ImageFolder,
    Notes,
    clean_caption,
    entry,
    file_of,
    noted,
    read_json,
)
from captioner.data.records import Record
from captioner.errors import CaptionerError


def load_coco(config: CocoConfig, split: str, faults: Faults = None, notes: Notes = None) -> list[Record]:
    """The records of a split, in the order of the file's images.

    Captions that are marked as rejected (VizWiz, Gurari et al. 2020), and images that have no others, are
    left out unless ``config.rejected``.

    Raises:
        CaptionerError: the split is not set, its file is not of this format, an image has no file
            or no caption, or a caption has no image.
    """
    root = Path(os.path.expanduser(config.root))
    file, images = _paths(config, split)
    path = root / file
    content = read_json(path, f"data.{split}")
    folder = ImageFolder(root / images, f"data.{split}_images")

    names: dict[int | str, tuple[int, str]] = {}  # id: its number in the file, file name
    captions: dict[int | str, list[str]] = {}
    for i, image in taken(entry(content, "images", list, str(path))):
        place = f"{path}: images[{i}]"
        with noted(faults):
            image_id = entry(image, "id", (int, str), place)
            if image_id in names:
                raise Fault(TWICE, f"{place}: the image id {image_id!r} is in the file twice")
            names[image_id] = i, entry(image, "file_name", str, place)
    rejected, left = 0, set[int | str]()
    for i, annotation in taken(entry(content, "annotations", list, str(path))):
        place = f"{path}: annotations[{i}]"
        with noted(faults):
            image_id = entry(annotation, "image_id", (int, str), place)
            if image_id not in names:
                raise Fault(NO_IMAGE, f"{place}: 'images' has no image with id {image_id!r}")
            if annotation.get("is_rejected") and not config.rejected:
                rejected += 1
                left.add(image_id)
                continue
            caption = clean_caption(entry(annotation, "caption", str, place), place)
            captions.setdefault(image_id, []).append(caption)

    if not names:
        raise CaptionerError(f"{path}: 'images' is empty")
    left -= set(captions)
    if rejected and notes is not None:
        none = f", and {len(left):,} images that have no other" if left else ""
        notes.append(f"{path}: left out {rejected:,} rejected captions{none} (data.rejected=true keeps them)")
    records = []
    for image_id, (i, name) in names.items():
        place = f"{path}: images[{i}]"
        with noted(faults):
            if image_id in left:
                continue
            if image_id not in captions:
                raise Fault(NO_CAPTION, f"{place}: the image {name} has no caption")
            records.append(Record(image_id, folder.find(name, place), tuple(captions[image_id])))
    if not records and not faults:
        raise CaptionerError(f"{path}: every caption is rejected; data.rejected=true keeps them")
    return records


def taken(items: list[Any]) -> Iterator[tuple[int, Any]]:
    """The numbered items of a list, which lets go of each: many of them, parsed, are most of the memory."""
    for i in range(len(items)):
        item, items[i] = items[i], None
        yield i, item


def _paths(config: CocoConfig, split: str) -> tuple[str, str]:
    """The split's caption file and image folder, both relative to the root."""
    files = {"train": config.train, "val": config.val, "test": config.test}
    folders = {
        "train": config.train_images,
        "val": config.val_images,
        "test": config.test_images,
    }
    file, folder = file_of(files, split), folders[split]
    if folder is None:
        raise CaptionerError(f"data.{split}_images: no folder is set for the images of {file}")
    return file, folder
