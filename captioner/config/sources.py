"""What an evaluation is of: a model, or captions without one."""

from __future__ import annotations

from captioner.config.schema import EvaluateConfig
from captioner.errors import CaptionerError

OF_A_MODEL = ("grounding", "inference")  # options that need one


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
