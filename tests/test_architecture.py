"""The house: imports run from above to below, and every file is short and says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import captioner

ROOT = Path(captioner.__file__).parent
LAYERS = (  # lowest first; a file may import only from layers below its own
    {"errors", "stopping"},
    {"config", "vocabulary", "compiling", "tally", "hardware", "fingerprint", "dropout", "depthwise"},
    {"writing", "locking", "products"},
    {"plain", "deferred", "output", "scoring", "weights"},
    {"expectation"},
    {"composition", "networks", "folding"},
    {"cells", "attention", "encoder"},
    {"packing"},
    {"decoder"},
    {"model", "hypotheses", "ensemble", "replay"},
    {"search"},
    {"checkpoint", "explanation"},
    {"soup"},
    {"data.rgb", "data.scans"},
    {"data.records", "data.images", "data.files", "data.loading"},
    {
        "data.preprocess",
        "data.finding",
        "data.scene_drawing",
        "data.batches",
        "data.mirroring",
        "data.summary",
    },
    {"data.scene_captions", "data.encoding"},
    {"data.scenes", "data.coco", "data.flickr8k", "data.karpathy", "data.table", "data.cache"},
    {"data.formats", "data.inspection"},
    {"data.doctor"},
    {"metrics.bleu", "metrics.cider"},
    {"metrics.coco"},
    {"validation"},
    {"training.loss", "training.optimization", "training.averaging"},
    {"training.self_critical"},
    {"training.preparation", "training.progress"},
    {"training.trainer", "training.reporting"},
    {"training.run_folder"},
    {"training.loop"},
    {
        "comparison.equal_size",
        "comparison.likelihood",
        "comparison.gradient_reach",
        "comparison.results",
    },
    {"comparison.report", "comparison.runs"},
    {"grounding.measures", "grounding.deletion", "grounding.naming"},
    {"grounding.placement"},
    {"grounding.report"},
    {"grounding.table"},
    {"captioning", "evaluation"},
    {"visualize.overlay", "visualize.fonts"},
    {"visualize.sheet", "visualize.document"},
    {
        "visualize.figure",
        "visualize.comparison_figure",
        "visualize.grounding_figure",
        "visualize.animation",
        "visualize.page",
    },
    {"web.refusal", "web.server", "web.options", "web.worker"},
    {"web.guard", "web.upload"},
    {"web.describe"},
    {"web.app"},
    {"cli.photos", "cli.recorded"},
    {
        "cli.train",
        "cli.evaluate",
        "cli.compare",
        "cli.caption",
        "cli.attend",
        "cli.scenes",
        "cli.average",
        "cli.check",
        "cli.serve",
    },
    {"cli.main"},
    {"__main__"},
)
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
MODULES = [name for name in FILES if not name.endswith("__init__")]
COMMANDS = {name for name in MODULES if name.startswith("cli.")} - {
    "cli.main",
    "cli.photos",
    "cli.recorded",
}  # imported by name


def imports(name: str) -> set[str]:
    """Modules of ours that a module imports, within functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return {f.removeprefix("captioner.") for f in found} & set(MODULES)


def test_every_module_has_its_layer() -> None:
    layered = [name for layer in LAYERS for name in layer]
    assert sorted(layered) == sorted(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_only_from_layers_below(name: str) -> None:
    height = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    assert {other for other in imports(name) if height[other] >= height[name]} == set()


def test_imports_are_seen() -> None:
    assert {"decoder", "encoder", "config"} <= imports("model")
    assert "captioning" in imports("visualize.figure")  # for type checkers


def test_commands_are_imported_by_name_alone() -> None:
    assert imports("cli.main") & COMMANDS == set()


@pytest.mark.parametrize("name", MODULES)
def test_only_captioning_and_the_commands_know_pixels_and_words(name: str) -> None:
    model = {
        "cells",
        "attention",
        "encoder",
        "decoder",
        "model",
        "packing",
        "deferred",
        "scoring",
        "products",
    }
    if name in model:
        assert not any(other.startswith("data.") for other in imports(name))


@pytest.mark.parametrize("name", FILES)
def test_file_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[name].read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", FILES)
def test_file_is_short(name: str) -> None:
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 350


def test_every_folder_is_in_the_wheel() -> None:
    listed = (ROOT.parent / "pyproject.toml").read_text(encoding="utf-8")
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {name for name in folders if f'"captioner.{name}",' not in listed} == set()


def test_there_is_no_room_for_everything_else() -> None:
    assert not {"utils", "helpers", "common", "misc"} & {part for name in FILES for part in name.split(".")}
