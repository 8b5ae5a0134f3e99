"""The device that a command computes on, and the memory of its process."""

from __future__ import annotations

import ctypes
import platform

import torch
from torch import Tensor

from captioner.errors import CaptionerError, first_line


def choose_device(name: str) -> torch.device:
    """``auto`` is the first of a CUDA GPU, an Apple GPU and the CPU that is there.

    Raises:
        CaptionerError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).tolist()  # which a device without memory could not
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error).split(". ")[0]
        there = ", ".join(available_devices())
        raise CaptionerError(
            f"run.device: {name!r} cannot be used here ({reason}); this machine has {there}"
        ) from error
    return device


def available_devices() -> list[str]:
    """The devices of this machine, as they are typed."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["auto", "cpu", *gpus, *["mps"] * torch.backends.mps.is_available()]


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; to a GPU from page-locked memory, for which nobody has to wait."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def keep_memory() -> None:
    """Let this process reuse the memory it frees rather than hand it back and fault it in again.

    Large tensors come and go at every step; where page faults are dear, on virtual machines above all, this
    is worth more than any kernel. Does nothing where the C library is not glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_max = -1, -4  # of mallopt(3)
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
