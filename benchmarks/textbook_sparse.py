"""Attention weights with exact zeros, of one row of scores at a time, as their papers define them.

sparsemax (Martins and Astudillo 2016, arXiv 1602.02068): alpha_i = max(0, e_i - tau).
1.5-entmax (Peters et al. 2019, arXiv 1905.05702): alpha_i = max(0, e_i / 2 - tau)^2.

tau makes the sum 1. It is found by trying how many scores lie above it, so that gradients reach the scores.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sparsemax(e: Tensor) -> Tensor:
    high = e.sort(descending=True).values
    for k in range(1, len(e) + 1):
        tau = (high[:k].sum() - 1) / k
        if k == len(e) or tau >= high[k]:
            return (e - tau).clamp_min(0)
    raise AssertionError


def entmax15(e: Tensor) -> Tensor:
    """sum (h_i - tau)^2 = 1 is quadratic in tau: k tau^2 - 2 tau sum h_i + sum h_i^2 - 1 = 0."""
    high = (e / 2).sort(descending=True).values
    for k in range(1, len(e) + 1):
        total, squares = high[:k].sum(), high[:k].square().sum()
        tau = (total - (total.square() - k * (squares - 1)).sqrt()) / k
        if k == len(e) or tau >= high[k]:
            return (e / 2 - tau).clamp_min(0).square()
    raise AssertionError


def weights(name: str, e: Tensor) -> Tensor:
    """Of scores ``(rows, locations)``, also by the dense softmax."""
    if name == "softmax":
        return e.softmax(dim=1)
    normalize = {"sparsemax": sparsemax, "entmax15": entmax15}[name]
    return torch.stack([normalize(row) for row in e])
