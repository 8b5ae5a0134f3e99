"""Which optimizer moves which weights, and how its learning rate runs."""

from __future__ import annotations

import math

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from captioner.config.training import OptimizerConfig
from captioner.errors import choose
from captioner.model.captioner import Captioner

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def build_optimizer(config: OptimizerConfig, model: Captioner, pretrained: bool) -> Optimizer:
    """The optimizer over the decoder's weights and the encoder's trained ones, each at its own rate.

    Weight decay is for matrices; biases and other vectors have none.

    Args:
        pretrained: whether the encoder starts from trained weights, which move more slowly by default.

    Raises:
        CaptionerError: unknown name.
    """
    kind = choose(OPTIMIZERS, config.name, "optimizer")
    encoder_rate = config.encoder_learning_rate
    if encoder_rate is None:
        encoder_rate = config.learning_rate * (0.1 if pretrained else 1.0)
    groups = []
    parts = ((model.decoder, config.learning_rate), (model.encoder, encoder_rate))
    for part, rate in parts:
        trained = [p for p in part.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim > 1]
        vectors = [p for p in trained if p.ndim <= 1]
        groups.append({"params": matrices, "lr": rate, "weight_decay": config.weight_decay})
        groups.append({"params": vectors, "lr": rate, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    return kind(groups) if config.name == "rmsprop" else kind(groups, fused=True)  # type: ignore[call-arg]


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
