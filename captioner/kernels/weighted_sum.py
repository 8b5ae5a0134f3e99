"""The context: every row's expectation of its image's annotations, sum_i alpha_i a_i.

All steps of an unrolled decoder look at the same annotations, whose gradient is a sum over steps of products
too thin to be fast. As with the weights of ``deferred``, it is taken in one product after the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.kernels.deferred_gradients import Uses
from captioner.kernels.precision import operand


def expectation(alpha: Tensor, annotations: Tensor, looks: Uses) -> Tensor:
    """``alpha @ annotations``.

    Args:
        alpha: ``(images, width, locations)``; of the first images only, it may be.
        annotations: ``(images, locations, features)``.
        looks: shared by the steps of one forward and backward pass.

    Returns:
        ``(images, width, features)``.
    """
    context: Tensor = _Expectation.apply(operand(alpha), operand(annotations), looks)
    return context


class _Expectation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, annotations: Tensor, looks: Uses) -> Tensor:
        ctx.save_for_backward(alpha, annotations)
        ctx.looks, ctx.first = looks, looks.begin()
        return alpha @ annotations[: len(alpha)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        alpha, annotations = ctx.saved_tensors
        total = None
        if ctx.needs_input_grad[1]:
            ctx.looks.add(alpha, grad)
            if ctx.first:
                alphas, grads = (_side_by_side(parts, len(annotations)) for parts in ctx.looks.take())
                total = alphas.mT @ grads
        return grad @ annotations[: len(alpha)].mT, total, None


def _side_by_side(parts: Sequence[Tensor], images: int) -> Tensor:
    """``(images, widths of all parts, size)``; zero for the images that a part has not."""
    whole = parts[0].new_zeros(images, sum(part.shape[1] for part in parts), parts[0].shape[2])
    start = 0
    for part in parts:
        whole[: len(part), start : start + part.shape[1]] = part
        start += part.shape[1]
    return whole
