"""A hash that identifies a set of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor


def fingerprint(tensors: Mapping[str, Tensor], structure: str = "") -> str:
    """SHA-256 of the tensors' names, shapes and values, in the order of their names.

    Args:
        structure: what else is to be told apart.
    """
    digest = hashlib.sha256(structure.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.view(-1).numpy().tobytes())
    return digest.hexdigest()
