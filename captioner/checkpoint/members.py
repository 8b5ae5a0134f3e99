"""Several model files that work together as one model."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from captioner.checkpoint.file import Checkpoint, load_checkpoint
from captioner.errors import CaptionerError


def load_members(paths: Any, device: torch.device | str = "cpu") -> list[Checkpoint]:
    """Read the model file ``paths``, or the several of a list, which are to work together.

    Raises:
        CaptionerError: as in :func:`load_checkpoint`; or the models have different vocabularies.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    if not isinstance(paths, Sequence) or not all(isinstance(path, str | Path) for path in paths):
        raise CaptionerError(f"checkpoint: {reprlib.repr(paths)} is neither a model file nor a list of them")
    if not paths:
        raise CaptionerError("checkpoint: the list of model files is empty")
    members = [load_checkpoint(path, device) for path in paths]
    first = members[0].vocabulary
    for path, member in zip(paths, members):
        if (member.vocabulary.words, member.vocabulary.unit) != (first.words, first.unit):
            sizes = f"{len(member.vocabulary)} words, {len(first)} words"
            raise CaptionerError(
                f"checkpoint: {path} has another vocabulary than {paths[0]} ({sizes}); models "
                "that work together must share theirs"
            )
    return members
