"""From a data configuration to the records of one split, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captioner.config import DataConfig
from captioner.data.coco import load_coco
from captioner.data.flickr8k import load_flickr8k
from captioner.data.karpathy import load_karpathy
from captioner.data.records import Record
from captioner.data.scenes import load_scenes
from captioner.data.table import load_table
from captioner.errors import choose

FORMATS: dict[str, Callable[[Any, str], list[Record]]] = {
    "scenes": load_scenes,
    "flickr8k": load_flickr8k,
    "karpathy": load_karpathy,
    "coco": load_coco,
    "table": load_table,
}
SPLITS = {"train": "train", "val": "val", "dev": "val", "test": "test"}  # dev is Flickr8k's word


def load_split(config: DataConfig, split: str) -> list[Record]:
    """Read the captions of one split and find its images, which are not opened.

    Args:
        config: one of the data schemas; ``config.name`` selects the format.
        split: ``train``, ``val`` (also called ``dev``) or ``test``.

    Returns:
        At least one record, in the order of the files; image ids are unique.

    Raises:
        CaptionerError: the format or split is unknown, or a file is missing or malformed.
    """
    load = choose(FORMATS, config.name, "data.name")
    return load(config, choose(SPLITS, split, "split"))
