"""What the commands of README and docs name, made small."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import stand_ins
from support.exits import exits
from support.shrunk import programs, shrink
from support.typed import Folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``DIR``, and ``tiny`` and ``hard``, runs of one epoch on it."""
    folder = tmp_path_factory.mktemp("tiny")
    stand_ins.flickr8k(folder / "DIR")
    for name, attention in (("tiny", "soft"), ("hard", "hard")):
        given = [
            "train",
            "data=flickr8k",
            f"data.root={folder}/DIR",
            f"attention={attention}",
            "encoder=small",
        ]
        command = [sys.executable, "-m", "captioner", *shrink([*given, f"output={folder / name}"])]
        subprocess.run([*command, f"run.cache={folder}/cache"], check=True, capture_output=True)
    return folder


@pytest.fixture
def folder(
    tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Folder:
    """Where commands are typed: the home of a user with a checkout, photos and data."""
    shutil.copytree(tiny_run, tmp_path, dirs_exist_ok=True)
    (tmp_path / "shared").mkdir()
    for place in (tmp_path, tmp_path / "shared"):
        (place / "flickr8k").symlink_to(tmp_path / "DIR")
    stand_ins.checkout(tmp_path)
    stand_ins.photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CAPTIONER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAPTIONER_CHECKPOINT", str(tmp_path / "tiny" / "model.safetensors"))
    for name, value in programs(tmp_path / "bin").items():
        monkeypatch.setenv(name, value)
    return Folder(tmp_path, exits(capsys))
