"""Matrix products of some dozens of rows with weights that a loop uses again and again.

For such a product MKL copies the weight into a layout of its own, every time. oneDNN can be given a weight
that was laid out once, and shares the work among threads by the weight's columns: the same arithmetic in
up to a third less time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.kernels.onednn import is_for_onednn
from captioner.kernels.precision import operand

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


def _gains(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype
        and x.ndim == 2
        and weight.numel() >= SMALLEST
        and torch.get_num_threads() > 1
        and is_for_onednn(x)
    )
