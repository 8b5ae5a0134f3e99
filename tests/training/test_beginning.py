"""A start that fails leaves a folder as it was: without a run, or with the earlier one."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from support import tiny

from captioner.cli.main import main
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.system.signals import Stopped
from captioner.training import loop
from captioner.training.beginning import StoppedEarly


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return tiny.config(tmp_path)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A folder of the user's, with what only looks like a run's."""
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "events.out.tfevents.1").write_text("of another program")
    return folder


@pytest.mark.parametrize(
    ("wrong", "output"),
    [("decoder.embedding=nowhere", []), ("run.device=meta", ["output=some/where"])],
    ids=["by time", "named"],
)
def test_failed_start_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, output: list[str]
) -> None:
    (place := tmp_path / "place").mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("CAPTIONER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SystemExit) as caught:
        main(["train", *tiny.OVERRIDES, "encoder=small", wrong, *output])
    assert caught.value.code == 2
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("step", ["prepare", "train_epoch"])
def test_failed_start_leaves_what_was_in_the_folder(
    held: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = content(held)
    monkeypatch.setattr(loop, step, raising(CaptionerError("no memory")))
    with pytest.raises(CaptionerError, match="no memory"):
        loop.train(config, held, report=tiny.silent)
    assert content(held) == before


def test_earlier_run_stays_where_its_successor_does_not_begin(
    held: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(config, held, report=tiny.silent)
    before, config = content(held), replace(config, overwrite=True)
    for error in (CaptionerError("no such file"), Stopped(signal.SIGTERM)):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "prepare", raising(error))
            with pytest.raises((CaptionerError, StoppedEarly), match=r"no such file|holds the earlier run$"):
                loop.train(config, held, report=tiny.silent)
        assert content(held) == before


def test_start_that_a_signal_stops_can_be_resumed(
    held: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(held)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "prepare", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            loop.train(config, held, report=tiny.silent)
    assert content(held).keys() - before.keys() == {"config.yaml"}
    loop.train(config, held, resume=True, report=tiny.silent)
    assert (held / "model.safetensors").is_file()


def raising(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail
