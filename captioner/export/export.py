"""A model written as a folder of programs, once they are seen to be the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from captioner.checkpoint.file import Checkpoint
from captioner.config.search import SearchConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.export.description import FILE, describe
from captioner.export.exported import Exported
from captioner.export.narrow import narrowed
from captioner.export.onnx_programs import as_onnx, check_installed, onnx_run
from captioner.export.parity import Parity, check_parity, compare, photo_pixels
from captioner.export.programs import Program, programs
from captioner.export.torch_programs import as_bytes, torch_run, traced
from captioner.system.atomic_files import whole_folder, write_whole

SCRIPT = "caption.py"  # in the folder: captioner/export/example.py


@dataclass(frozen=True)
class Written:
    """What an export wrote.

    Attributes:
        folder: that it made.
        size: of all its files, in bytes.
        parity: of the programs as they are stored.
    """

    folder: Path
    size: int
    parity: Parity


Files = dict[str, bytes]  # by name


def export_onnx(checkpoint: Checkpoint, folder: Path, weights: str = "float32") -> Written:
    """Write ``encoder.onnx``, ``init_state.onnx``, ``step.onnx``, ``model.json`` and ``caption.py``.

    Args:
        weights: how large matrices are stored, of :data:`captioner.export.narrow.WEIGHTS`.

    Raises:
        CaptionerError: the folder exists, a package is missing, or the programs differ from the model.
    """
    with whole_folder(folder, "--output") as temporary:
        made, parity = onnx_files(checkpoint, weights)
        made[SCRIPT] = files("captioner").joinpath("export/example.py").read_bytes()
        return write_files(made, temporary, folder, parity)


def export_torch(checkpoint: Checkpoint, folder: Path) -> Written:
    """Write ``encoder.pt2``, ``init_state.pt2``, ``step.pt2`` for ``torch.export.load``, and ``model.json``.

    Raises:
        CaptionerError: the folder exists, or the programs differ from the model.
    """
    with whole_folder(folder, "--output") as temporary:
        parts = programs(checkpoint.model)
        made = {f"{name}.pt2": as_bytes(traced(program)) for name, program in parts.items()}
        run = {name: torch_run(made[f"{name}.pt2"]) for name in parts}
        parity = _parity(checkpoint, Exported(run, parts["step"].outputs))
        check_parity(parity, "torch.export program")
        made[FILE] = _json(describe(checkpoint, parts, "pt2", "float32", parity))
        return write_files(made, temporary, folder, parity)


def onnx_files(checkpoint: Checkpoint, weights: str) -> tuple[Files, Parity]:
    """The programs and their description, and how they compare with the model.

    Raises:
        CaptionerError: a package is missing, or the programs differ from the model before their weights
            are narrowed.
    """
    check_installed()
    parts = programs(checkpoint.model)
    whole = {name: as_onnx(program) for name, program in parts.items()}
    parity = _parity(checkpoint, _onnx(whole, parts))
    check_parity(parity, "ONNX program")
    stored = whole
    if weights != "float32":
        stored = {name: narrowed(model, weights) for name, model in whole.items()}
        parity = _parity(checkpoint, _onnx(stored, parts))
    made = {f"{name}.onnx": model.SerializeToString() for name, model in stored.items()}
    made[FILE] = _json(describe(checkpoint, parts, "onnx", weights, parity))
    return made, parity


def _onnx(models: Mapping[str, Any], parts: Mapping[str, Program]) -> Exported:
    return Exported({name: onnx_run(model) for name, model in models.items()}, parts["step"].outputs)


def _parity(checkpoint: Checkpoint, exported: Exported) -> Parity:
    pixels = photo_pixels(Preprocess.of(checkpoint.config.encoder))
    return compare(checkpoint.model, exported, pixels, SearchConfig())


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False).encode()


def write_files(made: Files, temporary: Path, folder: Path, parity: Parity) -> Written:
    """Write files by name into ``temporary``, which will be ``folder``."""
    for name, data in made.items():
        write_whole(temporary / name, data, "--output")
    return Written(folder, sum(map(len, made.values())), parity)
