"""A moving average of a model's weights, often better than the last ones (Polyak & Juditsky 1992)."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """A copy of a model that after every step is to be told the weights.

    Early on, when the weights have moved far, they are averaged over fewer steps: the decay rises to its
    value as (1 + steps) / (10 + steps), as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Average in the model's weights. The number of steps stays on the host; torch's own method asks a
        GPU for it."""
        steps = int(self.n_averaged)
        keep = min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0
        old, new = ([*chain(one.parameters(), one.buffers())] for one in (self.module, model))
        floats = [i for i, tensor in enumerate(old) if tensor.is_floating_point()]
        torch._foreach_lerp_([old[i] for i in floats], [new[i] for i in floats], 1 - keep)
        for average, tensor in zip(old, new):
            if not average.is_floating_point():  # counters, of batch normalization for one
                average.copy_(tensor)
        self.n_averaged += 1
