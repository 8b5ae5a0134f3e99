"""Which files and folders a split was read from, and whether reading them again would find the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Look = list[int] | None  # size and times of change in nanoseconds; None: it is not there
MOST = 10_000  # that are watched; further folders of images are not

_watched: ContextVar[dict[str, Look] | None] = ContextVar("watched", default=None)


@contextmanager
def watching() -> Iterator[dict[str, Look]]:
    """The looks of all that is read within the block, or looked for, by absolute path."""
    looks: dict[str, Look] = {}
    token = _watched.set(looks)
    try:
        yield looks
    finally:
        _watched.reset(token)


def saw(path: Path) -> None:
    """Say, before a file is read or a folder listed, that what is found depends on it."""
    looks = _watched.get()
    if looks is not None and len(looks) < MOST and (place := os.path.abspath(path)) not in looks:
        looks[place] = _look(place)


def unchanged(looks: Mapping[str, Look]) -> bool:
    """Whether all of it looks as it did."""
    return all(_look(place) == look for place, look in looks.items())


def _look(place: str) -> Look:
    try:
        status = os.stat(place)
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
