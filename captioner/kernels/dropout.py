"""Dropout whose random numbers cost little on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Zero each element with probability p in training and scale the others by 1 / (1 - p).

    On a CPU torch draws a random number of 64 bits for every element, which takes longer than the layer
    before it. Four elements share one here; p is met to within 2^-17.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def active(self) -> bool:
        return self.training and self.p > 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = draws.view(torch.int16)[: x.numel()].view_as(x)
        kept = bits >= round(self.p * 2**16) - 2**15
        return x * (kept * (1 / (1 - self.p))).to(x.dtype)
