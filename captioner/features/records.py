"""The records of a split as a command reads them: a list, or a view of an index where they are many."""

from __future__ import annotations

from collections.abc import Sequence

from captioner.config.data import DataConfig
from captioner.config.schema import RunConfig
from captioner.data.index.open import open_split
from captioner.data.index.records import IndexedRecords
from captioner.data.records import Record, mirror_of
from captioner.features.cache import cache_folder


def read_split(
    data: DataConfig, split: str, run: RunConfig, notes: list[str] | None = None
) -> Sequence[Record]:
    """As :func:`captioner.data.load.load_split`, with ``run.index`` and ``run.cache``."""
    return open_split(data, split, run.index, cache_folder(run), notes)


def mirror_images(records: Sequence[Record]) -> Sequence[Record]:
    """The mirror image of every photo, in the same order."""
    return records.mirror_images() if isinstance(records, IndexedRecords) else list(map(mirror_of, records))
