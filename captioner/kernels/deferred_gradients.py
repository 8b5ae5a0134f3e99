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

from captioner.kernels.linear import Weights
from captioner.kernels.precision import operand


@dataclass
class Uses:
    """What multiplies one operand in a loop: how often, and what backward has met of that so far.

    Every use must depend on the uses before it, as the steps of a recurrent network do: the first use's
    backward then runs last, and hands over the gradient of all.
    """

    count: int = 0
    factors: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)

    def begin(self) -> bool:
        """Tell it of a use's forward; whether it is the first."""
        self.count += 1
        return self.count == 1

    def add(self, factor: Tensor, gradient: Tensor) -> None:
        """Tell it of a use's backward: what the operand was multiplied by, and the product's gradient."""
        self.factors.append(factor)
        self.gradients.append(gradient)

    def take(self) -> tuple[list[Tensor], list[Tensor]]:
        """The factors and gradients of all uses, which it forgets."""
        taken = self.factors, self.gradients
        self.factors, self.gradients = [], []
        return taken


class Tape:
    """The weights that a loop uses, for one forward and backward pass; see :class:`Uses`."""

    def __init__(self) -> None:
        self._uses: dict[tuple[int, torch.Size], tuple[Tensor, Uses]] = {}
        self._weights = Weights()

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """``(rows, inputs)`` times ``weight``, ``(outputs, inputs)``: ``(rows, outputs)``."""
        key = (weight.data_ptr(), weight.shape)  # a slice taken anew at every step is the same weight
        if key not in self._uses:
            self._uses[key] = operand(weight), Uses()
        product: Tensor = _Product.apply(operand(x), *self._uses[key], self._weights)
        return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, uses: Uses, weights: Weights) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.uses, ctx.weights, ctx.first = uses, weights, uses.begin()
        return weights.linear(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        ctx.uses.add(x, gradient)
        total = None
        if ctx.first:
            inputs, gradients = ctx.uses.take()
            total = torch.cat(gradients).T @ torch.cat(inputs)
        return ctx.weights.linear(gradient, weight.T), total, None, None
