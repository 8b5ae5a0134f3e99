"""Weights stored in fewer bits: float16, or int8 with a scale per row or column.

Only the file gets smaller. A program's first nodes give the weights back as float32, which runtimes do once,
when they load it; so all sums are float32's, whatever the weights were rounded to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import check_choice

WEIGHTS = ("float32", "float16", "int8")
SMALLEST = 2**12  # numbers in a weight that is narrowed; the others hardly count in size
LARGE = 2**16  # in one that int8 narrows to that: smaller ones, a network's early layers, become float16
LEVELS = 127


def narrowed(model: Any, weights: str) -> Any:
    """A copy of an ``onnx.ModelProto`` with its large float32 matrices and kernels stored narrower.

    Raises:
        CaptionerError: ``weights`` is not one of ``WEIGHTS``.
    """
    import onnx

    check_choice(weights, WEIGHTS, "--weights")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if weights == "float32":
        return copy
    graph, widen = copy.graph, []
    kept = []
    for tensor in graph.initializer:
        whole = tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
        if not whole or np.prod(tensor.dims) < SMALLEST:
            kept.append(tensor)
            continue
        values = onnx.numpy_helper.to_array(tensor)
        parts = _int8(values) if weights == "int8" and values.size >= LARGE else _half(values)
        stored = [f"{tensor.name}.{part}" for part in ("stored", "scale")[: len(parts)]]
        kept += [onnx.numpy_helper.from_array(part, name) for part, name in zip(parts, stored)]
        cast = tensor.name if len(parts) == 1 else f"{tensor.name}.wide"
        widen.append(onnx.helper.make_node("Cast", stored[:1], [cast], to=onnx.TensorProto.FLOAT))
        if len(parts) > 1:
            widen.append(onnx.helper.make_node("Mul", [cast, stored[1]], [tensor.name]))
    nodes = [*widen, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(copy)
    return copy


def _half(values: NDArray[np.float32]) -> list[NDArray[Any]]:
    limit = float(np.finfo(np.float16).max)
    return [values.clip(-limit, limit).astype(np.float16)]


def _int8(values: NDArray[np.float32]) -> list[NDArray[Any]]:
    """Integers, and the scale of each slice along the axis that loses less by it."""
    axes = (0, values.ndim - 1) if values.ndim == 2 else (0,)
    return min((_rounded(values, axis) for axis in axes), key=lambda found: _loss(values, found))


def _rounded(values: NDArray[np.float32], axis: int) -> list[NDArray[Any]]:
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = np.abs(values).max(axis=others, keepdims=True) / LEVELS
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return [np.rint(values / scale).astype(np.int8), scale]


def _loss(values: NDArray[np.float32], found: list[NDArray[Any]]) -> float:
    integers, scale = found
    return float(np.square(values - integers * scale).sum())
