"""The state a cell begins with, before its tanh: of the mean annotation, or the same for every image.

The mean annotation (Xu et al. 2015, section 3.1.2) tells the decoder of the whole image before it has looked
anywhere, and the state can carry that to every word. A learned state cannot: whatever a word knows of the
image came through an attention map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from captioner.errors import choose


class LearnedState(nn.Module):
    """One trained state of ``size`` numbers for every image; zeros at first."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.state = nn.Parameter(torch.zeros(size))

    def forward(self, mean: Tensor) -> Tensor:
        """``(images, size)`` from the mean annotations ``(images, features)``, which are only counted."""
        return self.state.expand(mean.shape[0], -1)


def build_initial_state(name: str, features: int, size: int) -> nn.Module:
    """The module that gives ``(images, size)`` from ``(images, features)``; ``name`` is mean or learned."""
    builders = {"mean": lambda: nn.Linear(features, size), "learned": lambda: LearnedState(size)}
    return choose(builders, name, "decoder.initial_state")()
