"""Which photos can be decoded to their last byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from captioner.data.photos.image import Source, load_image
from captioner.data.photos.prefetch import prefetched
from captioner.errors import CaptionerError

BATCH = 64


def undecodable(sources: Sequence[Source]) -> list[str | None]:
    """Why each photo cannot be decoded; None if it can. All cores read."""
    found = prefetched(sources, _why_not, BATCH, os.cpu_count() or 1)
    return [reason for batch in found for reason in batch]


def _why_not(source: Source) -> str | None:
    if not isinstance(source, Path):
        return None
    try:
        load_image(source, draft=1)  # reads all of a JPEG's data, and is done sooner
    except CaptionerError as error:
        return str(error)
    return None
