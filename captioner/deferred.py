"""Matrix products in an unrolled loop whose weight gradients are taken once, after the loop.

Every step multiplies by the same weights. Autograd takes a small gradient product at each step and adds
up results as large as the weights; that moves far more memory than it does arithmetic. A ``Tape``
remembers the inputs and output gradients of all steps instead, and takes one large product at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.products import Weights, operand


@dataclass
class _Uses:
    """One weight in a loop: how often it was used, and what backward has met of that so far."""

    weight: Tensor
    count: int = 0
    inputs: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)


class Tape:
    """The weights that a loop uses, for one forward and backward pass.

    Every use of a weight must depend on its uses before it, as the steps of a recurrent network do: the
    first use's backward then runs last, and hands over the gradient of all.
    """

    def __init__(self) -> None:
        self._uses: dict[tuple[int, torch.Size], _Uses] = {}
        self._weights = Weights()

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """``(rows, inputs)`` times ``weight``, ``(outputs, inputs)``: ``(rows, outputs)``."""
        key = (weight.data_ptr(), weight.shape)  # a slice taken anew at every step is the same weight
        if key not in self._uses:
            self._uses[key] = _Uses(operand(weight))
        uses = self._uses[key]
        product: Tensor = _Product.apply(operand(x), uses.weight, uses, self._weights)
        return product


def at_least_single(x: Tensor) -> Tensor:
    """In float32, for what half precision would lose; in float64 where it is."""
    return x if x.dtype == torch.float64 else x.float()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, uses: _Uses, weights: Weights) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.uses, ctx.weights, ctx.first = uses, weights, uses.count == 0
        uses.count += 1
        return weights.linear(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        uses: _Uses = ctx.uses
        uses.inputs.append(x)
        uses.gradients.append(gradient)
        total = None
        if ctx.first:
            total = torch.cat(uses.gradients).T @ torch.cat(uses.inputs)
            uses.inputs.clear()
            uses.gradients.clear()
        return ctx.weights.linear(gradient, weight.T), total, None, None
