"""NLTK's counts for BLEU, also where there is no home folder.

Importing NLTK looks for a place to download corpora to, and fails for a user who has none, as in a container
with a user id of its own. BLEU needs no corpora.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _a_home() -> Iterator[None]:
    """The temporary folder for one, if there is none."""
    if os.path.expanduser("~") != "~":
        yield
        return
    os.environ["HOME"] = tempfile.gettempdir()
    try:
        yield
    finally:
        del os.environ["HOME"]


with _a_home():
    from nltk.translate.bleu_score import (
        SmoothingFunction,
        closest_ref_length,
        modified_precision,
        sentence_bleu,
    )

__all__ = [
    "SmoothingFunction",
    "closest_ref_length",
    "modified_precision",
    "sentence_bleu",
]
