"""Programs as ONNX files, and ONNX Runtime to run them with."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from captioner.errors import CaptionerError
from captioner.export.exported import Run
from captioner.export.programs import Program
from captioner.export.torch_programs import traced

OPSET = 20
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def check_installed() -> None:
    """Refuse, before any work, what the packages that are there cannot do.

    Raises:
        CaptionerError: one is missing.
    """
    for name in NEEDED:
        try:
            import_module(name)
        except ImportError:
            raise CaptionerError(f"--format: onnx needs {name}: pip install 'captioner[export]'") from None


def as_onnx(program: Program) -> Any:
    """The program as an ``onnx.ModelProto`` that says nothing about the machine it was made on."""
    import onnx

    with _quiet():
        exported = torch.onnx.export(
            traced(program),
            input_names=list(program.inputs),
            output_names=list(program.outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert exported is not None
    model = exported.model_proto
    _forget_origin(model)
    _name_sizes(model, program)
    onnx.checker.check_model(model)
    return model


def onnx_run(model: Any) -> Run:
    """What runs a model on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [put.name for put in session.get_inputs()]

    def run(arguments: tuple[Tensor, ...]) -> list[Tensor]:
        given = {name: argument.contiguous().numpy() for name, argument in zip(names, arguments, strict=True)}
        return [torch.from_numpy(result) for result in session.run(None, given)]

    return run


def _forget_origin(model: Any) -> None:
    """Remove the stack traces, which name the files of the machine and are a third of a small graph."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    model.producer_name, model.producer_version = "captioner", ""


def _name_sizes(model: Any, program: Program) -> None:
    """Call the sizes that vary by their names, where the tracer numbered them."""
    called: dict[str, str] = {}
    for put, sizes in zip(model.graph.input, program.sizes, strict=True):
        for dimension, name in sizes.items():
            called[put.type.tensor_type.shape.dim[dimension].dim_param] = name
    for put in (*model.graph.input, *model.graph.output):
        for dim in put.type.tensor_type.shape.dim:
            if dim.dim_param in called:
                dim.dim_param = called[dim.dim_param]
    del model.graph.value_info[:]


@contextlib.contextmanager
def _quiet() -> Any:
    """Without what the exporter tells its developers."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
