"""The ``dataset_*.json`` files of Karpathy & Fei-Fei (2015), with their widely used splits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from captioner.config.data import KarpathyConfig
from captioner.data.formats.files import (
    NO_CAPTION,
    TWICE,
    Fault,
    Faults,
    ImageFolder,
    Notes,
    clean_caption,
    entry,
    noted,
    read_json,
)
from captioner.data.records import Record
from captioner.errors import CaptionerError, check_choice

SPLITS = ("train", "restval", "val", "test")


def load_karpathy(
    config: KarpathyConfig, split: str, faults: Faults = None, notes: Notes = None
) -> list[Record]:
    """The records of a split, in the order of the file.

    COCO's own number is the image id where the file gives it (``cocoid``), else the file name.

    Raises:
        CaptionerError: the file is not of this format or has no such split, or an image is missing.
    """
    path = Path(os.path.expanduser(config.file))
    folder = ImageFolder(Path(os.path.expanduser(config.images)), "data.images")
    wanted = {"train", "restval"} if split == "train" and config.restval else {split}
    records: dict[str | int, Record] = {}
    splits: set[str] = set()
    for i, image in enumerate(entry(read_json(path, "data.file"), "images", list, str(path))):
        place = f"{path}: images[{i}]"
        with noted(faults):
            splits.add(found := entry(image, "split", str, place))
            check_choice(found, SPLITS, f"{place}: 'split'")  # a misspelt one would lose images
            if found in wanted:
                record = _record(image, folder, place, faults)
                if record.image_id in records:
                    raise Fault(TWICE, f"{place}: the image {record.image_id} is in the file twice")
                records[record.image_id] = record
    if not wanted & splits:
        there = ", ".join(sorted(splits)) or "none"
        raise CaptionerError(f"data.file: {path} has no split {split!r}; splits there: {there}")
    return list(records.values())


def _record(image: Any, folder: ImageFolder, place: str, faults: Faults) -> Record:
    name = entry(image, "filename", str, place)
    subfolder = entry(image, "filepath", str, place) if "filepath" in image else ""
    image_id = entry(image, "cocoid", int, place) if "cocoid" in image else name
    sentences = entry(image, "sentences", list, place)
    captions: list[str] = []
    for k, sentence in enumerate(sentences):
        where = f"{place}.sentences[{k}]"
        with noted(faults):
            captions.append(clean_caption(entry(sentence, "raw", str, where), where))
    if not captions:
        raise Fault(NO_CAPTION, f"{place}: the image {name} has no caption")
    return Record(image_id, folder.find(str(Path(subfolder, name)), place), tuple(captions))
