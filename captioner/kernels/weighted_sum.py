"""The context: for every row the weighted sum of its image's annotations, sum_i alpha_i a_i.

All steps look at the same annotations, whose gradient is a sum over steps of products too thin to be fast;
it is taken in one product after the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.kernels.deferred_gradients import SummedGradient
from captioner.kernels.precision import operand

Pair = tuple[Tensor, Tensor]  # weights, and the gradient of what they gave


class Values:
    """The vectors of a batch of images that all steps take weighted sums of.

    Args:
        vectors: ``(images, locations, features)``.
    """

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = operand(vectors)
        self._gradient = SummedGradient[Pair]()

    def __call__(self, alpha: Tensor) -> Tensor:
        """``alpha @ vectors``, ``(images, width, features)``.

        Args:
            alpha: ``(images, width, locations)``; of the first images only, if there are fewer.
        """
        context: Tensor = _WeightedSum.apply(operand(alpha), self.vectors, self._gradient)
        return context

    def at(self, image: Tensor, location: Tensor) -> Tensor:
        """The vector at one location per row, ``(rows, features)``; ``image``, ``location``: ``(rows,)``."""
        return self.vectors[image, location]

    def select(self, images: Tensor) -> Values:
        """The vectors of some of the images, by index."""
        return Values(self.vectors[images])


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, vectors: Tensor, summed: SummedGradient[Pair]) -> Tensor:
        ctx.save_for_backward(alpha, vectors)
        ctx.summed, ctx.first = summed, summed.begin()
        return alpha @ vectors[: len(alpha)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        alpha, vectors = ctx.saved_tensors
        total = None
        if ctx.needs_input_grad[1]:
            ctx.summed.met.append((alpha, grad))
            if ctx.first:
                alphas, grads = (_side_by_side(parts, len(vectors)) for parts in zip(*ctx.summed.take()))
                total = alphas.mT @ grads
        return grad @ vectors[: len(alpha)].mT, total, None


def _side_by_side(parts: Sequence[Tensor], images: int) -> Tensor:
    """``(images, widths of all parts, size)``; zero for the images that a part lacks."""
    whole = parts[0].new_zeros(images, sum(part.shape[1] for part in parts), parts[0].shape[2])
    start = 0
    for part in parts:
        whole[: len(part), start : start + part.shape[1]] = part
        start += part.shape[1]
    return whole
