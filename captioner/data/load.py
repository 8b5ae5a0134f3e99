"""From a data configuration to the records of one split, whatever the format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from captioner.config.data import DataConfig
from captioner.data.formats.coco import load_coco
from captioner.data.formats.files import Faults
from captioner.data.formats.flickr8k import load_flickr8k
from captioner.data.formats.karpathy import load_karpathy
from captioner.data.formats.table import load_table
from captioner.data.records import Record
from captioner.data.scenes.scenes import load_scenes
from captioner.errors import choose

LOADERS: dict[str, Callable[[Any, str, Faults], list[Record]]] = {
    "scenes": lambda config, split, _: load_scenes(config, split),
    "flickr8k": load_flickr8k,
    "karpathy": load_karpathy,
    "coco": load_coco,
    "table": load_table,
}
SPLITS = {"train": "train", "val": "val", "dev": "val", "test": "test"}  # dev is Flickr8k's word


def data_files(config: DataConfig) -> list[Path]:
    """The caption files and folders that a data configuration names, as far as they exist."""
    values = [value for value in vars(config).values() if isinstance(value, str)]
    root = Path(os.path.expanduser(str(getattr(config, "root", "."))))
    places = [place for value in values for place in (root / value, Path(os.path.expanduser(value)))]
    return [place for place in places if place.exists()]


def load_split(config: DataConfig, split: str, faults: Faults = None) -> list[Record]:
    """Read the captions of one split and find its images, which are not opened.

    Args:
        config: one of the data schemas; ``config.name`` selects the format.
        split: ``train``, ``val`` (also called ``dev``) or ``test``.
        faults: where to note what is wrong with single entries, which are then left out; None: it is
            raised.

    Returns:
        The records in the order of the files, at least one unless faults were noted; image ids are unique.

    Raises:
        CaptionerError: the format or split is unknown, or a file is missing or malformed.
    """
    load = choose(LOADERS, config.name, "data.name")
    return load(config, choose(SPLITS, split, "split"), faults)
