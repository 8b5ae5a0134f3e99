"""The context: every row's expectation of its image's annotations, sum_i alpha_i a_i."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.products import operand
from captioner.tally import Tally


def expectation(alpha: Tensor, annotations: Tensor, tally: Tally) -> Tensor:
    """``alpha @ annotations``, whose gradient for the annotations is summed over steps in one place.

    Args:
        alpha: ``(images, width, locations)``; of the first images only, it may be.
        annotations: ``(images, locations, features)``.
        tally: shared by the steps that look at the same annotations.

    Returns:
        ``(images, width, features)``.
    """
    context: Tensor = _Expectation.apply(operand(alpha), operand(annotations), tally)
    return context


class _Expectation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, annotations: Tensor, tally: Tally) -> Tensor:
        ctx.save_for_backward(alpha, annotations)
        ctx.tally, ctx.first = tally, tally.begin()
        return alpha @ annotations[: len(alpha)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        alpha, annotations = ctx.saved_tensors
        of_annotations = None
        if ctx.needs_input_grad[1]:
            ctx.tally.part(annotations, len(alpha)).baddbmm_(alpha.mT, grad)
            of_annotations = ctx.tally.hand_over(ctx.first)
        return grad @ annotations[: len(alpha)].mT, of_annotations, None
