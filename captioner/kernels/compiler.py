"""Which functions torch.compile makes into one loop each: those that would wait for memory otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

_compiling = False


def use_compiler(use: bool) -> None:
    """Whether there are compiled kernels, which take some seconds to begin with."""
    global _compiling
    _compiling = use


def compiled(function: Callable[..., Any], like: Tensor) -> Callable[..., Any] | None:
    """``function`` compiled for tensors like this one; None if compiling is off or impossible."""
    return _compiled(function) if _compiling and (like.is_cuda or _has_compiler()) else None


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)


@cache
def _has_compiler() -> bool:
    return bool(shutil.which("g++") or shutil.which("clang++"))
