"""A moving average of a model's weights, often better than the last ones (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from captioner.model.captioner import Captioner


def averaged(model: Captioner, decay: float) -> AveragedModel:
    """A copy that after every step is to be told the weights: ``averaged.update_parameters(model)``.

    Early on, when the weights have moved far, they are averaged over fewer steps: the decay rises to its
    value as (1 + steps) / (10 + steps), as in TensorFlow's ExponentialMovingAverage.
    """

    @torch.no_grad()
    def update(average: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor | int) -> None:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        if average[0].is_floating_point():
            torch._foreach_lerp_(list(average), list(weights), 1 - keep)
        else:  # counters, of batch normalization for one
            for old, new in zip(average, weights):
                old.copy_(new)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
