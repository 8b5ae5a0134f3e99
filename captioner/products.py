"""Matrix products of some dozens of rows with weights that a loop uses again and again.

For such a product MKL copies the weight into a layout of its own, every time. oneDNN can be given a weight
that was laid out once, and shares the work among threads by the weight's columns: the same arithmetic in
up to a third less time.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.hardware import has_bf16

Linear = Callable[..., Tensor]  # like torch.nn.functional.linear
ROWS = 16  # with fewer, laying out does not pay
SMALLEST = 2**15  # numbers in a weight


class Weights:
    """What a loop multiplies by, as it multiplies by it. They must not change meanwhile."""

    def __init__(self) -> None:
        self._ready: dict[tuple[object, ...], _Ready] = {}

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias`` of ``x`` ``(rows, inputs)`` and ``weight`` ``(outputs, inputs)``.

        The weight may be a slice or transposed. Where gradients are recorded it is torch's own product.
        """
        if torch.is_grad_enabled():
            return F.linear(x, weight, bias)
        key = (weight.data_ptr(), weight.shape, weight.stride())  # a slice taken anew is the same weight
        if key not in self._ready:
            self._ready[key] = _Ready(weight, operand(weight))
        ready, x = self._ready[key], operand(x)
        if ready.laid_out is None and len(x) >= ROWS and _gains(x, ready.weight):
            ready.laid_out = torch.ops.mkldnn._reorder_linear_weight(ready.weight, len(x))
        if ready.laid_out is None:
            return F.linear(x, ready.weight, bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, ready.laid_out, bias, "none", [], "")
        return product


@dataclass
class _Ready:
    given: Tensor  # held, so that no other weight can take its place in memory
    weight: Tensor  # in the precision of its products
    laid_out: Tensor | None = None


def operand(x: Tensor) -> Tensor:
    """What autocast would make of an operand of a matrix product, for functions that it does not know."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def at_least_single(x: Tensor) -> Tensor:
    """In float32, for what half precision would lose; in float64 where it is."""
    return x if x.dtype == torch.float64 else x.float()


def is_for_onednn(x: Tensor) -> bool:
    """Whether oneDNN multiplies in this precision on this processor."""
    precise = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and has_bf16(x.device))
    return x.device.type == "cpu" and precise and has_onednn()


def _gains(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype
        and x.ndim == 2
        and weight.numel() >= SMALLEST
        and torch.get_num_threads() > 1
        and is_for_onednn(x)
    )


@cache
def has_onednn() -> bool:
    """Whether torch has the operators that its compiler makes of frozen networks."""
    wanted = ("_linear_pointwise", "_convolution_pointwise")
    return (
        platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in wanted)
    )
