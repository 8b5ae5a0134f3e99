"""Whatever stops a run, going on with it ends where the uninterrupted run ends, to the bit."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import tiny
from test_training import metrics
from tools.kill_anywhere import check, ended, forked

from captioner.checkpoint.file import load_checkpoint
from captioner.cli.main import main
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.features.batches import epoch_batches
from captioner.features.captioned import CaptionedSplit
from captioner.features.split import Split
from captioner.system.atomic_files import write_whole
from captioner.system.locks import owned
from captioner.system.signals import Stop, Stopped
from captioner.training import objective, run_folder, validation
from captioner.training.loop import train
from captioner.training.run_folder import load_resume_state


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(tiny.config(folder, epochs=2), folder / "run", report=tiny.silent)
    return folder / "run"


def kill(times: int, seed: int) -> str:
    script = Path(__file__).parents[1] / "tools" / "kill_anywhere.py"
    command = [sys.executable, str(script), "--times", str(times), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_a_few_times() -> None:
    assert "killed 3 times" in kill(3, seed=0)


@pytest.mark.slow
def test_killed_many_times() -> None:
    assert "killed 30 times" in kill(30, seed=1)


# --- between any two steps, files and batches -----------------------------------------------------


class Killed(BaseException):
    """Ends a run where it is raised, as a kill does."""


def interrupted(config: TrainConfig, folder: Path) -> None:
    """Train until something is raised, as it will be."""
    with pytest.raises((Killed, CaptionerError)) as caught:
        train(config, folder, resume=(folder / "config.yaml").exists(), report=tiny.silent)
    assert "\n" not in str(caught.value)


def goes_on(config: TrainConfig, folder: Path, whole: Path) -> None:
    train(config, folder, resume=(folder / "config.yaml").exists(), report=tiny.silent)
    check(folder, whole)


def nth(call: Callable[..., object], count: int, error: BaseException) -> Callable[..., object]:
    """``call``, which raises the error at so many calls' end; afterwards it works again."""
    calls = iter(range(1, count + 1))

    def counted(*arguments: object, **options: object) -> object:
        result = call(*arguments, **options)
        if next(calls, None) == count:
            raise error
        return result

    return counted


@pytest.mark.parametrize("file", [1, 4, 5, 9])  # config, resume, model, its successor
def test_killed_between_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path, file: int
) -> None:
    config = tiny.config(tmp_path, epochs=2)
    config.run.cache = str(whole.parent / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", nth(os.replace, file, Killed()))
        interrupted(config, tmp_path / "run")
    goes_on(config, tmp_path / "run", whole)


@pytest.mark.parametrize("write", [1, 10])
def test_full_disk_is_told_in_one_line_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path, write: int
) -> None:
    config = tiny.config(tmp_path, epochs=2, save_minutes=1e-9)
    config.run.cache = str(whole.parent / "cache")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", nth(os.fsync, write, full))
        with pytest.raises(CaptionerError, match=r"^output: cannot write .*No space left on device\)$"):
            train(config, tmp_path / "run", report=tiny.silent)
    assert not list((tmp_path / "run").glob("*.part"))
    goes_on(config, tmp_path / "run", whole)


def test_file_too_large_for_the_disk_leaves_the_old_one(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "file"
    write_whole(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(CaptionerError, match=r"^output: cannot write .*\(File too large\)$"):
            write_whole(path, bytes(2**17))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"file": b"old"}


@pytest.mark.parametrize("step", [1, 3, 4])  # an epoch has 4
def test_signal_saves_at_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path, step: int
) -> None:
    config = tiny.config(tmp_path, epochs=2)
    config.run.cache = str(whole.parent / "cache")
    losses = iter(range(1, 9))

    def caption_loss(*arguments: object) -> object:
        if next(losses) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    real = objective.caption_loss
    with monkeypatch.context() as patch:
        patch.setattr(objective, "caption_loss", caption_loss)
        if step == 1:  # nothing is done that could be saved
            patch.setattr(run_folder, "save_resume_state", lambda *_: pytest.fail("saved within a step"))
        with pytest.raises(Stopped) as caught:
            train(config, tmp_path / "run", report=tiny.silent)
    assert caught.value.status == 143
    if step > 1:
        progress = load_resume_state(tmp_path / "run" / "resume.pt")["progress"]
        done = progress["epoch"] * 4 + progress["sums"]["steps"] + 4 * bool(progress["trained"])
        assert done == step
    goes_on(config, tmp_path / "run", whole)


def test_signal_within_validation_saves_the_epochs_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path
) -> None:
    config = tiny.config(tmp_path, epochs=2)
    config.run.cache = str(whole.parent / "cache")
    real = validation.caption_split

    def caption_split(*arguments: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(validation, "caption_split", caption_split)
        with pytest.raises(Stopped) as caught:
            train(config, tmp_path / "run", report=tiny.silent)
    assert caught.value.status == 130
    with monkeypatch.context() as patch:  # the first epoch's training is not done again
        patch.setattr(validation, "caption_split", nth(real, 1, Killed()))
        patch.setattr(objective, "caption_loss", lambda *_: pytest.fail("trained again"))
        interrupted(config, tmp_path / "run")
    goes_on(config, tmp_path / "run", whole)


def test_command_tells_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object, **__: object) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr("captioner.training.loop.train", train)
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as caught:
        main(["train", *tiny.OVERRIDES, f"output={run}"])
    assert caught.value.code == 143
    assert capsys.readouterr().err == f"captioner: stopped; resume with: captioner train resume={run}\n"


def test_second_signal_ends_at_once() -> None:
    def signalled() -> None:
        with Stop() as stop:
            stop.check()
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

    assert ended(forked(signalled)) == 130


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Stop():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# --- the run folder -------------------------------------------------------------------------------


def test_another_process_cannot_train_in_the_same_folder(tmp_path: Path) -> None:
    with owned(tmp_path), pytest.raises(CaptionerError, match="another process"):
        train(tiny.config(tmp_path), tmp_path, report=tiny.silent)


def test_lock_ends_with_its_process_whatever_it_has_forked(tmp_path: Path) -> None:
    folder, alive = tmp_path / "folder", tmp_path / "alive"
    folder.mkdir()
    with owned(folder):
        worker = forked(lambda: (alive.touch(), time.sleep(300)))
        while not alive.exists():
            time.sleep(0.01)
    with owned(folder) as mine:
        assert mine
    os.kill(worker, signal.SIGKILL)
    assert ended(worker) == -signal.SIGKILL


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".resume.pt.k1ll3d.part").write_bytes(b"half")
    with run_folder.run_folder(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_lost_resume_state_is_told_rather_than_trained_over(tmp_path: Path, whole: Path) -> None:
    for name in ("config.yaml", "model.safetensors"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    config = tiny.config(tmp_path)
    config.run.cache = str(whole.parent / "cache")
    with pytest.raises(CaptionerError, match="nothing to resume"):
        train(config, tmp_path, resume=True, report=tiny.silent)
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_files_of_a_run_agree(whole: Path) -> None:
    """Metrics are told once, wall-clock times apart from what another run repeats."""
    timings = [json.loads(line) for line in (whole / "timings.jsonl").read_text().splitlines()]
    assert [set(timing) for timing in timings] == [{"epoch", "seconds", "words_per_second"}] * 2
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert lines == metrics(whole)
    scores = load_checkpoint(whole).scores
    assert scores in lines


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("drawn", [None, 2])
def test_rest_of_an_epoch_is_what_the_whole_one_ends_with(whole: Path, size: int, drawn: int | None) -> None:
    records = tiny.records("train")
    features = np.arange(len(records), dtype=np.float32)[:, None]
    captions = [[[10 * i + j + 4] for j in range(5)] for i in range(len(records))]
    split = CaptionedSplit(Split(records, features), captions)

    def images(size: int, skip: int) -> list[tuple[float, list[int]]]:
        batches = epoch_batches(split, size, 3, 1, drawn, skip)
        return [
            (feature, batch.words[batch.owner == i, 0].tolist())
            for found, batch, *_ in batches
            for i, feature in enumerate(found[:, 0].tolist())
        ]

    assert images(4, skip=6) == images(size, skip=0)[6:]
