"""The commands of docs/export.md; npm has to reach its registry, for the page's runtime."""

from __future__ import annotations

import shutil

import pytest
from commands.test_pages import possible, typed
from support.documented import ROOT
from support.typed import Folder

from captioner.export.onnx_programs import NEEDED


@pytest.mark.slow
def test_commands_run(folder: Folder) -> None:
    for name in (*NEEDED, "onnxruntime"):
        pytest.importorskip(name, reason="pip install 'captioner[export]'")
    online = shutil.which("npm") and folder.start("npm view onnxruntime-web version").wait() == 0
    images = folder.path / "DIR" / "Flicker8k_Dataset"
    dev = (folder.path / "DIR" / "Flickr_8k.devImages.txt").read_text().split()
    (folder.path / "PHOTOS").mkdir()
    for name in dev:
        shutil.copy(images / name, folder.path / "PHOTOS")
    for command in typed("docs/export.md"):
        needs_npm = any(word in command for word in ("npm", "page"))
        if (needs_npm and not online) or not possible(command):
            continue
        if "http.server" in command:
            with folder.serving(command, "index.html"):
                continue
        folder.type(command)
    said = (folder.path / "float32.jsonl").read_text().splitlines()
    assert len(said) == len(dev)
    assert not (ROOT / "exported").exists()
