"""From scores of locations to attention weights: the paper's softmax, or maps with exact zeros.

The two sparse ones are of the package entmax: sparsemax (Martins and Astudillo 2016, arXiv 1602.02068) and
1.5-entmax, which is between it and softmax (Peters et al. 2019, arXiv 1905.05702).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from torch import Tensor

from captioner.config.model import NORMALIZATIONS
from captioner.errors import CaptionerError, check_choice

Normalize = Callable[[Tensor], Tensor]  # scores (..., locations) to weights that sum to 1 over locations


def softmax(scores: Tensor) -> Tensor:
    """alpha_i = exp(e_i) / sum_k exp(e_k)."""
    return scores.softmax(dim=-1)


def build_normalize(name: str) -> Normalize:
    """The function of that name: ``softmax``, ``sparsemax`` or ``entmax15``.

    Raises:
        CaptionerError: there is none of that name, or the package that has it is not installed.
    """
    check_choice(name, NORMALIZATIONS, "attention.normalize")
    if name == "softmax":
        return softmax
    try:
        entmax = import_module("entmax")
    except ImportError:
        raise CaptionerError(f"attention.normalize={name}: needs pip install 'captioner[entmax]'") from None
    return partial(getattr(entmax, name), dim=-1)
