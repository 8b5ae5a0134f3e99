"""Exported programs are the model: every cell, score, look and gate, in ONNX Runtime and torch.export."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError
from captioner.export.exported import Exported, Run
from captioner.export.parity import Parity, check_parity, compare
from captioner.export.programs import Program, programs
from captioner.export.torch_programs import as_bytes, torch_run, traced
from captioner.model.captioner import Captioner
from captioner.model.encoder import Encoder
from captioner.vocabulary import START

SIDE = 8
SHARED = 3  # arguments of a step that all models may share: words, image, annotations
# cell, attention, further options: every cell once, and with them every score, look, gate and output
Model = tuple[str, str, dict[str, object]]
MODELS: tuple[Model, ...] = (
    ("vanilla", "hard-argmax", {}),
    ("lstm", "soft", {}),
    ("peephole", "hard-expectation", {"gate": "vector"}),
    ("coupled", "soft", {"score": "multiplicative"}),
    ("gru", "soft", {"gate": "none", "deep_output": False}),
    ("gru-after", "hard-argmax", {"score": "multiplicative", "input_dropout": 0.5}),
    ("lstm", "soft", {"sees_word": True}),
    ("gru", "soft", {"initial_state": "learned", "local": 2}),
    ("lstm", "soft", {"normalize": "sparsemax"}),
    ("gru", "hard-expectation", {"normalize": "entmax15"}),
    ("lstm-norm", "soft", {"after_step": True}),
    ("fgr", "soft", {}),
    ("lstm", "soft", {"sentinel": True}),
    ("coupled", "soft", {"sentinel": True, "score": "multiplicative", "normalize": "entmax15"}),
)
Make = Callable[..., Captioner]
Traced = Callable[[Mapping[str, Program]], dict[str, Run]]


@pytest.fixture
def make_model(make_decoder: Callable[..., nn.Module]) -> Make:
    """A captioner of float32 with a few weights, whose encoder's first stage is frozen."""

    def make(cell: str = "lstm", attention: str = "soft", **options: object) -> Captioner:
        stages = OrderedDict(
            stem=nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU6()),
            body=nn.Conv2d(4, 5, 3, 2, 1),
        )
        encoder = Encoder(stages, SIDE, [0.4] * 3, [0.2] * 3, fine_tune="body")
        decoder = make_decoder(cell, attention, dtype=torch.float32, vocabulary=12, **options)
        return Captioner(encoder, decoder).eval()  # type: ignore[arg-type]

    return make


def onnx_programs(parts: Mapping[str, Program]) -> dict[str, Run]:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is missing: pip install 'captioner[export]'")
    from captioner.export.onnx_programs import as_onnx, onnx_run

    return {name: onnx_run(as_onnx(program)) for name, program in parts.items()}


def torch_programs(parts: Mapping[str, Program]) -> dict[str, Run]:
    return {name: torch_run(as_bytes(traced(program))) for name, program in parts.items()}


def eager(parts: Mapping[str, Program]) -> dict[str, Run]:
    """The programs as torch runs them, neither traced nor written."""

    def run(module: nn.Module) -> Run:
        return lambda given: [found] if isinstance(found := module(*given), Tensor) else list(found)

    return {name: run(part.module) for name, part in parts.items()}


def compared(model: Captioner, run: Mapping[str, Run], parts: Mapping[str, Program]) -> Parity:
    pixels = torch.randint(256, (3, 3, SIDE, SIDE), dtype=torch.uint8)
    exported = Exported(run, parts["step"].outputs)
    return compare(model, exported, pixels, SearchConfig(max_length=6))


@pytest.mark.parametrize(
    "export",
    [
        eager,
        pytest.param(onnx_programs, marks=pytest.mark.slow),
        pytest.param(torch_programs, marks=pytest.mark.slow),
    ],
)
def test_programs_of_every_cell_are_the_model(export: Traced, make_model: Make) -> None:
    for cell, attention, options in MODELS:
        model = make_model(cell, attention, **options)
        parts = programs(model)
        own = parts if cell == "lstm" else {"step": parts["step"]}  # the others are alike for all cells
        run = {**eager(parts), **export(own)}
        parity = compared(model, run, parts)
        case = (cell, attention, options)
        assert max(parity.differences.values()) < 1e-4, (case, parity.differences)
        assert {"annotations", "state", "alpha", "log_probs"} <= set(parity.differences), case
        assert ("beta" in parity.differences) == (options.get("gate") != "none"), case
        assert ("gates" in parity.differences) == (cell != "vanilla"), case
        assert parity.same == len(parity.captions) == 3, case


class Steps(nn.Module):
    """The steps of several models in one program, as an export takes a second whatever its size."""

    def __init__(self, parts: Sequence[Program]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(part.module for part in parts)
        self.own = [len(part.inputs) - SHARED for part in parts]  # its keys and state

    def forward(
        self, words: Tensor, image: Tensor, annotations: Tensor, keys: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        found, own = [], iter((keys, *others))
        for step, count in zip(self.steps, self.own):
            found += step(words, image, annotations, *itertools.islice(own, count))
        return tuple(found)


@pytest.mark.parametrize(
    "models", [MODELS[1:6:4], pytest.param(MODELS, marks=pytest.mark.slow)], ids=["two", "all"]
)
def test_onnx_steps_at_other_sizes(models: Sequence[Model], make_model: Make) -> None:
    parts = [programs(make_model(cell, look, **options))["step"] for cell, look, options in models]
    own = [list(zip(p.inputs, p.example, p.sizes))[SHARED:] for p in parts]
    named = [(f"{name}_of_{i}", *rest) for i, inputs in enumerate(own) for name, *rest in inputs]
    names, example, sizes = zip(
        *list(zip(parts[0].inputs, parts[0].example, parts[0].sizes))[:SHARED], *named
    )
    outputs = tuple(f"{name}_of_{i}" for i, part in enumerate(parts) for name in part.outputs)
    whole = Program(Steps(parts), example, names, outputs, sizes)
    run = onnx_programs({"steps": whole})["steps"]
    for rows, images, locations in ((1, 1, 1), (7, 3, 9)):
        count = {"rows": rows, "images": images, "locations": locations}
        given = []
        for name, tensor, varying in zip(names, example, sizes):
            shape = [count[varying[i]] if i in varying else n for i, n in enumerate(tensor.shape)]
            most = {"words": 12, "image": images}.get(name)
            given.append(torch.randn(shape) if most is None else torch.randint(most, shape))
        expected = whole.module(*given)
        for name, ours, theirs in zip(outputs, run(tuple(given)), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=f"{name} at {count}")


def test_a_program_of_other_weights_is_refused(make_model: Make) -> None:
    model = make_model()
    parts = programs(model)
    run = eager(parts)
    check_parity(compared(model, run, parts), "program")
    other = programs(make_model())["step"].module  # drawn anew
    with pytest.raises(CaptionerError, match=r"differs from the model in its (log_probs|state)"):
        check_parity(compared(model, {**run, "step": lambda given: list(other(*given))}, parts), "program")


def test_nan_is_refused() -> None:
    parity = Parity({"alpha": 0.0, "log_probs": float("nan")}, [], 0)
    with pytest.raises(CaptionerError, match="log_probs"):
        check_parity(parity, "program")


def test_drawn_locations_cannot_be_exported(make_model: Make) -> None:
    with pytest.raises(CaptionerError, match=r"--inference.*argmax or expectation"):
        programs(make_model(attention="hard-sample"))


def test_parity_feeds_different_words_to_the_rows_of_an_image(make_model: Make) -> None:
    """Or a step that mixed its rows up would pass."""
    model = make_model()
    parts = programs(model)
    run = eager(parts)
    fed: list[Tensor] = []

    def step(given: tuple[Tensor, ...]) -> list[Tensor]:
        fed.append(given[0])
        return run["step"](given)

    compared(model, {**run, "step": step}, parts)
    assert (fed[0] == START).all()
    first, second = fed[1].view(-1, 2).T
    assert (first != second).all()


def test_narrow_weights_are_rounded_by_half_a_step_at_most() -> None:
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is missing: pip install 'captioner[export]'")
    from onnx import TensorProto, helper, numpy_helper

    from captioner.export.narrow import narrowed
    from captioner.export.onnx_programs import OPSET, onnx_run

    weight = torch.randn(300, 256)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in "xy")
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    graph = helper.make_graph(
        [node], "product", [x], [y], [numpy_helper.from_array(weight.numpy(), "weight")]
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    for weights, step, share in (
        ("float16", weight.abs() * 2**-10, 0.5),
        ("int8", weight.abs().max() / 127, 0.25),
    ):
        stored = narrowed(whole, weights)
        (found,) = onnx_run(stored)((torch.eye(300),))
        error = (found - weight).abs()
        assert (error <= step / 2 + 1e-6).all() and error.max() > 0, weights
        assert getattr(TensorProto, weights.upper()) in {t.data_type for t in stored.graph.initializer}
        assert stored.ByteSize() / whole.ByteSize() == pytest.approx(share, abs=0.03)
