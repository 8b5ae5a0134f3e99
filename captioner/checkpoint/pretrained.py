"""The model that comes with the package, by the name ``pretrained``, and which model is taken unasked."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

NAME = "pretrained"
VARIABLE = "CAPTIONER_CHECKPOINT"
MODEL_FILE = "model.safetensors"  # of a run folder


def default_checkpoint() -> str:
    """The model where none is named: that of ``$CAPTIONER_CHECKPOINT``, else the package's own."""
    return os.environ.get(VARIABLE) or NAME


def model_path(path: str | Path) -> Path:
    """The file or folder that ``path`` names; a file of the user's called ``pretrained`` comes first."""
    if str(path) == NAME and not Path(NAME).exists():
        return Path(str(files("captioner") / "checkpoint" / "pretrained.safetensors"))
    return Path(os.path.expanduser(path))


def model_file(path: str | Path) -> Path:
    """The file that ``path`` names, itself or by its run folder."""
    found = model_path(path)
    return found / MODEL_FILE if found.is_dir() else found
