"""``captioner export``: what it writes, what it refuses, and that the script beside it captions alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import tiny

from captioner.checkpoint.file import Checkpoint, load_checkpoint
from captioner.cli import export as command
from captioner.errors import CaptionerError
from captioner.export import export, web_runtime
from captioner.export.onnx_programs import NEEDED
from captioner.export.parity import Parity
from captioner.predictor import load


@pytest.fixture
def checkpoint() -> Checkpoint:
    return load_checkpoint(tiny.model_file())


@pytest.mark.slow
def test_script_says_what_captioner_says(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} is missing: pip install 'captioner[export]'")
    written = export.export_onnx(checkpoint, tmp_path / "exported")
    assert {path.name for path in written.folder.iterdir()} == {
        "caption.py", "encoder.onnx", "init_state.onnx", "model.json", "step.onnx",
    }  # fmt: skip
    assert written.size == sum(path.stat().st_size for path in written.folder.iterdir())
    photos = []
    for i, record in enumerate(tiny.records()[:4]):
        image = record.source()  # type: ignore[operator]
        photos.append(tmp_path / f"{i}.png")
        image.resize((50 + 40 * i, 60)).save(photos[-1])  # the crop and the shrinking count too
    model = load(tiny.model_file(), device="cpu", precision="fp32")
    script = written.folder / "caption.py"
    for photo in photos:
        command = [sys.executable, str(script), str(photo), "2"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.rstrip("\n") == model.caption(photo, beam_size=2).text
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line and line[0] != '"']
    assert len(lines) <= 40  # as docs/export.md says


def test_script_needs_neither_captioner_nor_torch() -> None:
    source = (Path(export.__file__).parent / "example.py").read_text(encoding="utf-8")
    imported = {line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"json", "sys", "pathlib", "numpy", "onnxruntime", "PIL"}


def test_torch_programs_and_their_description(checkpoint: Checkpoint, tmp_path: Path) -> None:
    written = export.export_torch(checkpoint, tmp_path / "exported")
    described = json.loads((written.folder / "model.json").read_text(encoding="utf-8"))
    assert described["vocabulary"]["words"] == list(checkpoint.vocabulary.words)
    assert described["photo"]["side"] == 32 and described["photo"]["resize"] == "crop"
    assert described["parity"]["photos"] == len(written.parity.captions) == 6
    encoder = torch.export.load(written.folder / described["programs"]["encoder"]["file"]).module()
    pixels = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels), checkpoint.model.encoder(pixels))
    for path in written.folder.iterdir():
        assert str(Path(export.__file__).parent).encode() not in path.read_bytes(), "a path of this machine"


def test_nothing_is_written_where_programs_differ(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, found in (("traced", None), ("as_bytes", b""), ("torch_run", None)):  # which take a while
        monkeypatch.setattr(export, name, lambda _, found=found: found)
    monkeypatch.setattr(export, "compare", lambda *_: Parity({"alpha": 0.5}, [], 0))
    with pytest.raises(CaptionerError, match=r"differs from the model in its alpha, by 0\.5"):
        export.export_torch(checkpoint, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_exists_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.json").write_text("mine")
    with pytest.raises(CaptionerError, match=r"--output: .*mine exists"):
        command.run([str(tiny.model_file()), "--format", "torch_export", "--output", str(tmp_path / "mine")])
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["torch_export", "--weights", "int8"], "--weights: int8 is for onnx and web"),
        (["onnx", "--onnxruntime-web", "x"], "--onnxruntime-web: is for --format web, not onnx"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match=message):
        command.run(["--output", str(tmp_path / "out"), "--format", *arguments])


Package = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A folder that looks like the npm package, without some files."""

    def make(*without: str) -> Path:
        folder = tmp_path / "package"
        (folder / "dist").mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web"}))
        for name in {web_runtime.SCRIPT, web_runtime.WASM} - set(without):
            (folder / name).write_text(name)
        return folder

    return make


def test_runtime_is_found_in_the_package_or_around_it(package: Package) -> None:
    folder = package()
    found = web_runtime.runtime_files(folder)
    assert found["ort.js"].decode() == web_runtime.SCRIPT
    assert found == web_runtime.runtime_files(folder.parent)


def test_runtime_that_is_not_there(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaptionerError, match="does not hold the npm package onnxruntime-web"):
        web_runtime.runtime_files(tmp_path)
    with pytest.raises(CaptionerError, match=r"has no ort-wasm-simd-threaded\.wasm"):
        web_runtime.runtime_files(package(web_runtime.WASM))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CaptionerError, match=r"npm, which would download it, is not installed"):
        web_runtime.runtime_files(None)
