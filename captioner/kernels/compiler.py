"""Which functions torch.compile makes into one loop each: those that would wait for memory otherwise.

Whether it can is seen where it is asked to: there may be a compiler that lacks its headers, or a cache folder
that nothing may be run from. The first function that fails ends compiling, and the plain one takes its place.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from captioner.errors import printable

LONGEST_REASON = 160

_compiling = False
_works = True  # until a function cannot be compiled


def use_compiler(use: bool) -> None:
    """Whether there are compiled kernels, which take some seconds to begin with."""
    global _compiling
    _compiling = use


def compiled(function: Callable[..., Any], plain: Callable[..., Any], like: Tensor) -> Callable[..., Any]:
    """``function`` compiled for tensors like this one; ``plain`` if compiling is off or impossible.

    The first time that compiling fails is told in one line on standard error.

    Args:
        plain: takes the same arguments, and returns the same.
    """
    if _compiling and _works and (like.is_cuda or _has_compiler()):
        return partial(_compiled_or_plain, function, plain)
    return plain


def _compiled_or_plain(function: Callable[..., Any], plain: Callable[..., Any], *operands: Any) -> Any:
    global _works
    try:
        return _compiled(function)(*operands)
    except torch.OutOfMemoryError:  # of the kernel itself: the plain one takes more
        raise
    except Exception as error:  # of torch's compiler, of a file system or of a loader
        if not _works:
            raise
        _works = False
        print(
            f"captioner: torch.compile does not work here ({_reason(error)}), going on without it; "
            "run.compile=false does not try",
            file=sys.stderr,
        )
    return plain(*operands)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)


@cache
def _has_compiler() -> bool:
    """Whether there is one to try: without any, importing torch's compiler would be seconds for nothing."""
    default = "clang++" if sys.platform == "darwin" else "g++"
    return "CXX" in os.environ or shutil.which(default) is not None


def _reason(error: Exception) -> str:
    """The line of a long message that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    telling = [line for line in lines if "error:" in line.lower()]
    return printable((telling or lines)[-1 if telling else 0][:LONGEST_REASON])
