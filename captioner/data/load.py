"""From a data configuration to the records of one split, whatever the format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from captioner.config.data import DataConfig, Flickr8kConfig
from captioner.data.formats.coco import load_coco
from captioner.data.formats.files import INCOMPLETE, UNREADABLE, Fault, Faults, Notes
from captioner.data.formats.flickr8k import CAPTIONS, load_flickr8k
from captioner.data.formats.karpathy import load_karpathy
from captioner.data.formats.table import load_table
from captioner.data.photos.whole import undecodable
from captioner.data.records import Record
from captioner.data.scenes.scenes import load_scenes
from captioner.errors import CaptionerError, choose

LOADERS: dict[str, Callable[[Any, str, Faults, Notes], list[Record]]] = {
    "scenes": lambda config, split, *_: load_scenes(config, split),
    "flickr8k": load_flickr8k,
    "karpathy": load_karpathy,
    "coco": load_coco,
    "table": load_table,
}
SPLITS = {"train": "train", "val": "val", "dev": "val", "test": "test"}  # dev is Flickr8k's word


def data_files(config: DataConfig) -> list[Path]:
    """The caption files and folders that a data configuration names, as far as they exist."""
    values = [value for value in vars(config).values() if isinstance(value, str)]
    if isinstance(config, Flickr8kConfig) and config.captions is None:
        values += CAPTIONS
    root = Path(os.path.expanduser(str(getattr(config, "root", "."))))
    places = [place for value in values for place in (root / value, Path(os.path.expanduser(value)))]
    return [place for place in places if place.exists()]


def load_split(
    config: DataConfig, split: str, faults: Faults = None, notes: list[str] | None = None
) -> list[Record]:
    """Read the captions of one split and find its images, which are not opened.

    Args:
        config: one of the data schemas; ``config.name`` selects the format.
        split: ``train``, ``val`` (also called ``dev``) or ``test``.
        faults: where to note what is wrong with single entries, which are then left out; None: it is
            raised, unless it is what ``config.skip_incomplete`` leaves out.
        notes: where to tell, in lines, what was left out or decided without being asked.

    Returns:
        The records in the order of the files, at least one unless faults were noted; image ids are unique.

    Raises:
        CaptionerError: the format or split is unknown, or a file is missing or malformed.
    """
    load, name = choose(LOADERS, config.name, "data.name"), choose(SPLITS, split, "split")
    if faults is not None or not skips_incomplete(config):
        return load(config, name, faults, notes)
    found: list[CaptionerError] = []
    records = load(config, name, found, notes)
    damaged = undecodable([record.source for record in records])
    records = [record for record, reason in zip(records, damaged) if reason is None]
    found += [Fault(UNREADABLE, reason) for reason in damaged if reason is not None]
    left_out: Counter[str] = Counter()
    for fault in found:
        if not is_incomplete(fault):
            raise fault
        assert isinstance(fault, Fault)
        left_out[fault.kind] += 1
    if not records:
        reason = f" ({found[0]})" if found else ""
        raise CaptionerError(f"data.skip_incomplete: nothing is left of the {name} split{reason}")
    if left_out and notes is not None:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in left_out.most_common())
        notes.append(f"data.skip_incomplete: left out of the {name} split: {counts}")
    return records


def skips_incomplete(config: DataConfig) -> bool:
    """Whether entries of which a part is missing are to be left out."""
    return bool(getattr(config, "skip_incomplete", False))


def is_incomplete(fault: CaptionerError) -> bool:
    """Whether what is wrong with an entry is that a part of it is missing."""
    return isinstance(fault, Fault) and fault.kind in INCOMPLETE
