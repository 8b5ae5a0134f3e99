"""The house: imports run from upper rows to lower ones, and every file is short and says what it is."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

import captioner

ROOT = Path(captioner.__file__).parent
ROWS = (  # lowest first: folders, and files of the top; those on one row do not know each other
    {"errors", "version"},
    {"kernels", "system", "vocabulary"},
    {"metrics"},
    {"config"},
    {"data", "model"},
    {"caption", "checkpoint", "decoding", "features"},
    {"visualize"},
    {"evaluation", "predictor"},
    {"__init__", "bulk", "export", "training", "web"},
    {"cli"},
    {"__main__"},
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
DRAWING = {"predictor", "visualize", "web", "cli", "__init__"}  # who may know what a Caption is
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imports(name: str) -> set[str]:
    """Modules of ours that a module imports: within functions, for type checkers, and by name too."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # for import_module
            found.add(node.value)
    return {f.removeprefix("captioner.") for f in found if f.startswith("captioner.")} & set(FILES)


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_room_has_its_row() -> None:
    assert sorted(ROW) == sorted({room(name) for name in FILES})


@pytest.mark.parametrize("name", FILES)
def test_imports_only_from_its_own_room_and_lower_rows(name: str) -> None:
    others = {other for other in imports(name) if room(other) != room(name)}
    assert {other for other in others if ROW[room(other)] >= ROW[room(name)]} == set()


def test_no_circle() -> None:
    left = {name: imports(name) for name in FILES}
    while free := {name for name, others in left.items() if not others & set(left)}:
        left = {name: others for name, others in left.items() if name not in free}
    assert left == {}


def test_imports_are_seen() -> None:
    assert {"model.decoder", "model.encoder", "config.model"} <= imports("model.captioner")
    assert "caption" in imports("visualize.figure")  # for type checkers
    assert "predictor" in imports("__init__")  # by name


def test_kernels_know_nothing_of_captions() -> None:
    others = {other for name in FILES if room(name) == "kernels" for other in imports(name)}
    assert {room(other) for other in others} == {"kernels", "errors"}


def test_only_what_shows_captions_knows_them() -> None:
    assert {room(name) for name in FILES if "caption" in imports(name)} <= DRAWING


@pytest.mark.parametrize("name", FILES)
def test_file_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(TREES[name])


def test_files_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    assert {name: count for name, count in lines.items() if count > 250} == {}
    assert statistics.median(lines.values()) < 100


def test_the_top_can_be_taken_in_at_a_glance() -> None:
    top = [path for path in ROOT.iterdir() if path.name != "__pycache__"]
    assert sum(path.is_file() for path in top) <= 8
    assert sum(path.is_dir() for path in top) <= 16


def test_there_is_no_room_for_everything_else() -> None:
    assert not {"utils", "helpers", "common", "misc"} & {part for name in FILES for part in name.split(".")}


def test_wheel_holds_the_tree(tmp_path: Path) -> None:
    """Every file of captioner/ and conf/, and no other."""
    tree = copytree(
        ROOT.parent,
        tmp_path / "tree",
        ignore=ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__"),
    )
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(tmp_path)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wheel = zipfile.ZipFile(next(tmp_path.glob("*.whl")))
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    folders = {"captioner": tree / "captioner", "captioner/conf": tree / "conf"}
    files = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert packed == files
