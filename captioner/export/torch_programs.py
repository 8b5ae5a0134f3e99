"""Programs as ``torch.export`` traces them."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor

from captioner.export.exported import Run
from captioner.export.programs import Program

FIXED = 4  # arguments of a step before its state


def traced(program: Program) -> Any:
    """The program as a ``torch.export.ExportedProgram`` with the sizes that may vary."""
    names = {name for sizes in program.sizes for name in sizes.values()}
    dims = {name: torch.export.Dim(name, min=1) for name in sorted(names)}
    sizes = [{place: dims[name] for place, name in of.items()} for of in program.sizes]
    shapes = tuple(sizes) if len(sizes) <= FIXED else (*sizes[:FIXED], tuple(sizes[FIXED:]))
    with torch.no_grad():
        exported = torch.export.export(program.module, program.example, dynamic_shapes=shapes, strict=False)
    for module in exported.graph_module.modules():
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)  # which names the files of this machine
    return exported


def as_bytes(exported: Any) -> bytes:
    """What ``torch.export.load`` reads."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are views of a larger tensor
        torch.export.save(exported, stream)
    return stream.getvalue()


def torch_run(data: bytes) -> Run:
    """What runs a program that was read back from its file."""
    module = torch.export.load(io.BytesIO(data)).module()

    def run(arguments: tuple[Tensor, ...]) -> list[Tensor]:
        with torch.no_grad():
            found = module(*arguments)
        return [found] if isinstance(found, Tensor) else list(found)

    return run
