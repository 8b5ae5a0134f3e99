"""In which precision matrix products are taken, and what is kept in a better one."""

from __future__ import annotations

import torch
from torch import Tensor

from captioner.errors import check_choice
from captioner.kernels import PRECISIONS


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices natively; emulated ones are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False


def chosen_precision(device: torch.device, precision: str) -> str:
    """``fp32`` or ``bf16``, also of ``auto``: the latter where the hardware has it.

    Raises:
        CaptionerError: unknown precision.
    """
    check_choice(precision, PRECISIONS, "precision")
    if precision == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    return precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which the model runs: bf16 matrix products, or float32 throughout.

    Raises:
        CaptionerError: unknown precision.
    """
    in_bf16 = chosen_precision(device, precision) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=in_bf16)


def operand(x: Tensor) -> Tensor:
    """What autocast would make of an operand of a matrix product, for functions that it does not know."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def at_least_float32(x: Tensor) -> Tensor:
    """In float32, for what half precision would lose; in float64 where it is."""
    return x if x.dtype == torch.float64 else x.float()
