"""Which captions an evaluation is of: a model's or a file's, and those that they are compared with."""

from __future__ import annotations

from pathlib import Path

from captioner.checkpoint.pretrained import MODEL_FILE, model_path
from captioner.config.schema import EvaluateConfig
from captioner.data.formats.predictions import RESULTS, predictions_file
from captioner.errors import CaptionerError


def files_of(config: EvaluateConfig) -> dict[str, Path]:
    """The files of captions that are read, by the key that names each."""
    files = {}
    if config.predictions is not None:
        files["predictions"] = predictions_file(config.predictions)
    if config.against is not None and not _is_model(config.against):
        files["against"] = predictions_file(config.against)
    return files


def _is_model(against: str) -> bool:
    path = model_path(against)
    if path.is_dir():
        if (path / RESULTS).is_file():
            return False
        if not (path / MODEL_FILE).is_file():
            raise CaptionerError(f"against: {against} holds neither {RESULTS} nor {MODEL_FILE}")
        return True
    return path.suffix == ".safetensors"
