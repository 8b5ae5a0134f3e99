"""Which optimizer moves which weights, and how its learning rate runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from captioner.config.training import OptimizerConfig
from captioner.errors import choose
from captioner.model.captioner import Captioner

# of which each word has a row
PER_WORD = ("decoder.embedding.weight", "decoder.word_output.weight", "decoder.word_output.bias")

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def build_optimizer(
    config: OptimizerConfig, model: Captioner, pretrained: bool, new_words: int = 0
) -> Optimizer:
    """The optimizer over the decoder's weights and the encoder's trained ones, each at its own rate.

    Weight decay is for matrices; biases and other vectors have none.

    Args:
        pretrained: whether the encoder starts from trained weights, which move more slowly by default.
        new_words: how many words, the last ones, an adapted model has gained.

    Raises:
        CaptionerError: unknown name.
    """
    kind = choose(OPTIMIZERS, config.name, "optimizer")
    encoder_rate = config.encoder_learning_rate
    if encoder_rate is None:
        encoder_rate = config.learning_rate * (0.1 if pretrained else 1.0)
    groups: list[dict[str, Any]] = []
    rows, row_rate = [], config.new_words_learning_rate
    if new_words and row_rate:
        rows = [model.get_parameter(name) for name in PER_WORD]
        groups.append({"params": rows, "lr": row_rate, "weight_decay": 0.0})
    parts = ((model.decoder, config.learning_rate), (model.encoder, encoder_rate))
    for part, rate in parts:
        trained = [p for p in part.parameters() if p.requires_grad and not any(p is row for row in rows)]
        matrices = [p for p in trained if p.ndim > 1]
        vectors = [p for p in trained if p.ndim <= 1]
        groups.append({"params": matrices, "lr": rate, "weight_decay": config.weight_decay})
        groups.append({"params": vectors, "lr": rate, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    fused = {} if config.name == "rmsprop" else {"fused": True}
    optimizer = kind(groups, **fused)  # type: ignore[arg-type]
    if new_words and row_rate:
        _hold_back(optimizer, rows, new_words, config.learning_rate / row_rate)
    return optimizer


def _hold_back(optimizer: Optimizer, rows: Sequence[Tensor], new_words: int, share: float) -> None:
    """Have the rows of known words move by a share of what the optimizer would move them by."""
    before: list[Tensor] = []

    def keep(*_: Any) -> None:
        before[:] = [weight[:-new_words].detach().clone() for weight in rows]

    def hold_back(*_: Any) -> None:
        with torch.no_grad():
            for weight, old in zip(rows, before):
                weight[:-new_words] = torch.lerp(old, weight[:-new_words], share)

    optimizer.register_step_pre_hook(keep)
    optimizer.register_step_post_hook(hold_back)


def build_schedule(optimizer: Optimizer, kind: str, warmup: float, total_steps: int) -> LambdaLR:
    """Rise linearly over the share ``warmup`` of all steps, then stay constant, or fall to zero."""
    rising = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, total_steps - rising)
        if kind == "cosine":
            return 0.5 + 0.5 * math.cos(math.pi * min(1.0, done))
        return max(0.0, 1 - done) if kind == "linear" else 1.0

    return LambdaLR(optimizer, factor)
