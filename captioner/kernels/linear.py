"""Matrix products with weights that a loop uses again and again.

For a product of some dozens of rows MKL copies the weight into a layout of its own, every time. oneDNN can
be given a weight that was laid out once, and shares the work among threads by the weight's columns: the same
arithmetic in up to a third less time. In training, the weight's gradient is one large product after the loop
instead of a small one per step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from captioner.kernels.deferred_gradients import SummedGradient
from captioner.kernels.onednn import is_for_onednn
from captioner.kernels.precision import operand

Linear = Callable[..., Tensor]  # like torch.nn.functional.linear
ROWS = 16  # with fewer, laying out does not pay
SMALLEST = 2**15  # numbers in a weight


class Products:
    """``linear(x, weight, bias)`` of a loop; the weights must not change meanwhile."""

    def __init__(self) -> None:
        self._prepared: dict[tuple[object, ...], _Prepared] = {}

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias`` of ``x`` ``(rows, inputs)`` and ``weight`` ``(outputs, inputs)``.

        The weight may be a slice or transposed. Where gradients are recorded, a product with a bias is
        torch's own, so that only those without one belong to the loop; see :class:`SummedGradient`.
        """
        if not torch.is_grad_enabled():
            return self.prepare(weight).linear(operand(x), bias)
        if bias is not None:
            return F.linear(x, weight, bias)
        prepared = self.prepare(weight)
        product: Tensor = _Product.apply(operand(x), prepared.weight, prepared, self)
        return product

    def prepare(self, weight: Tensor) -> _Prepared:
        key = (weight.data_ptr(), weight.shape, weight.stride())  # a slice taken anew is the same weight
        if key not in self._prepared:
            self._prepared[key] = _Prepared(weight)
        return self._prepared[key]


class _Prepared:
    """A weight in the layout of its products."""

    def __init__(self, weight: Tensor) -> None:
        self.given = weight  # held, so that no other weight can take its place in memory
        self.weight = operand(weight)
        self.gradient = SummedGradient[tuple[Tensor, Tensor]]()
        self._laid_out: Tensor | None = None

    def linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The product without a gradient."""
        if self._laid_out is None and len(x) >= ROWS and _gains(x, self.weight):
            self._laid_out = torch.ops.mkldnn._reorder_linear_weight(self.weight, len(x))
        if self._laid_out is None:
            return F.linear(x, self.weight, bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._laid_out, bias, "none", [], "")
        return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, prepared: _Prepared, products: Products) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.summed, ctx.products, ctx.first = prepared.gradient, products, prepared.gradient.begin()
        return prepared.linear(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        total = None
        if ctx.needs_input_grad[1]:
            ctx.summed.met.append((x, grad))
            if ctx.first:
                inputs, grads = zip(*ctx.summed.take())
                total = torch.cat(grads).T @ torch.cat(inputs)
        return ctx.products.prepare(weight.T).linear(grad), total, None, None


def _gains(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype
        and x.ndim == 2
        and weight.numel() >= SMALLEST
        and torch.get_num_threads() > 1
        and is_for_onednn(x)
    )
