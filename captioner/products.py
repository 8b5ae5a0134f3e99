"""Matrix products of a few dozen to a few hundred rows, as a step over a batch or a beam makes them.

On a CPU with several threads, MKL deals out the rows of such a product, and each thread reads all of the
weight for its few. Dealt out by columns, as a batch of products, the same arithmetic takes up to a quarter
less time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = (8, 512)  # fewer are no matter, and of more either way is as fast
NARROWEST = 64  # columns of a block


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """:func:`torch.nn.functional.linear` of ``x`` ``(rows, inputs)`` and ``weight`` ``(outputs, inputs)``."""
    blocks = max(4, torch.get_num_threads())
    width = len(weight) // blocks
    if width < NARROWEST or not ROWS[0] <= len(x) <= ROWS[1] or not _dealt_out_by_rows(x):
        return F.linear(x, weight, bias)
    whole = blocks * width
    inputs = x.expand(blocks, *x.shape)
    columns = weight[:whole].unflatten(0, (blocks, width)).mT
    if bias is None:
        parts = torch.bmm(inputs, columns)
    else:
        parts = torch.baddbmm(bias[:whole].view(blocks, 1, width), inputs, columns)
    product = x.new_empty(len(x), len(weight))
    product[:, :whole].unflatten(1, (blocks, width)).copy_(parts.transpose(0, 1))
    if whole < len(weight):
        product[:, whole:] = F.linear(x, weight[whole:], None if bias is None else bias[whole:])
    return product


def _dealt_out_by_rows(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.ndim == 2
        and torch.get_num_threads() > 1
        and torch.backends.mkl.is_available()
        and not torch.is_autocast_enabled("cpu")
    )
