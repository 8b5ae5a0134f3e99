"""Which captions an evaluation is of: a model's or a file's, and those that they are compared with."""

from __future__ import annotations

from pathlib import Path

from captioner.checkpoint.pretrained import model_path
from captioner.config.schema import EvaluateConfig
from captioner.data.formats.predictions import RESULTS, predictions_file
from captioner.errors import CaptionerError

MODEL_FILE = "model.safetensors"
OF_A_MODEL = ("grounding", "inference", "page")  # options that need one


def check_sources(config: EvaluateConfig) -> None:
    """Refuse to evaluate nothing, or two things at once.

    Raises:
        CaptionerError: names the keys.
    """
    if config.checkpoint is None and config.predictions is None:
        raise CaptionerError(
            "checkpoint: a value is needed, as in checkpoint=VALUE; "
            "predictions=FILE scores captions without a model"
        )
    if config.checkpoint is not None and config.predictions is not None:
        raise CaptionerError(
            f"predictions: {config.predictions} is scored without a model, and checkpoint names one; "
            "give one of them, and the other as against"
        )
    for key in OF_A_MODEL if config.predictions is not None else ():
        if getattr(config, key):
            raise CaptionerError(f"{key}: it needs a model, and predictions={config.predictions} has none")
    if config.page and config.output is None:
        raise CaptionerError("page: it is written into a folder, name one with output=DIR")


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
