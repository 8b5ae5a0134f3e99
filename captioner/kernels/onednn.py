"""Whether torch's oneDNN operators, which take weights laid out once, can be used here."""

from __future__ import annotations

import platform
from functools import cache

import torch
from torch import Tensor

from captioner.kernels.precision import has_bf16


def is_for_onednn(x: Tensor) -> bool:
    """Whether oneDNN multiplies in this precision on this processor."""
    precise = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and has_bf16(x.device))
    return x.device.type == "cpu" and precise and has_onednn()


@cache
def has_onednn() -> bool:
    """Whether torch has the operators that its compiler makes of frozen networks."""
    wanted = ("_linear_pointwise", "_convolution_pointwise")
    return (
        platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in wanted)
    )
