"""``captioner train`` as torchrun starts it: killed, stopped and started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import tiny
from support.group import group

from captioner.training.loop import train
from captioner.training.run_folder import load_resume_state

pytestmark = pytest.mark.slow

EPOCHS = 6
SAME = ("model.safetensors", "metrics.jsonl")


def torchrun(folder: Path, *options: str) -> tuple[str, ...]:
    overrides = [o for o in tiny.OVERRIDES if not o.startswith("training.epochs")]
    return (
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options),
        *("-m", "captioner", "train", *overrides, f"training.epochs={EPOCHS}", "training.save_minutes=1e-9"),
        *(f"run.cache={folder / 'cache'}", f"output={folder / 'run'}"),
    )


def rank(number: int) -> int:
    """The process of a rank among our descendants."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"RANK={number}".encode() in environment and f"OF={os.getpid()}".encode() in environment:
            return int(path.parent.name)
    raise AssertionError(f"there is no rank {number}")


def disturbed(command: tuple[str, ...], run: Path, disturb: Callable[[int], None]) -> tuple[int, str]:
    """What becomes of a command that is disturbed within its second epoch: its status and what it said."""
    environment = {**os.environ, "OF": str(os.getpid()), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 300
    while not (run / "model.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    disturb(process.pid)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    config = tiny.config(folder, epochs=EPOCHS)
    statuses = group(
        2, lambda ranks: train(config, folder / "run", report=tiny.silent, ranks=ranks) and None, folder
    )[1]
    assert statuses == [0, 0]
    return folder / "run"


def test_killed_rank_is_started_anew_and_the_run_ends_undisturbed(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    status, said = disturbed(
        torchrun(tmp_path, "--max-restarts", "3"), run, lambda _: os.kill(rank(1), signal.SIGKILL)
    )
    assert status == 0, said
    assert said.count("locations, ") == 2, said  # the line that a start begins with
    for name in SAME:
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_signal_to_torchrun_saves_and_stops_all(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    status, said = disturbed(torchrun(tmp_path), run, lambda process: os.kill(process, signal.SIGTERM))
    assert status != 0 and f"stopped; resume with: captioner train resume={run}" in said
    progress = load_resume_state(run / "resume.pt")["progress"]
    assert 1 <= progress["epoch"] < EPOCHS
    config = tiny.config(tmp_path, epochs=EPOCHS)
    work = group(2, lambda ranks: train(config, run, True, tiny.silent, ranks) and None, tmp_path)
    assert work[1] == [0, 0]
    for name in SAME:
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_run_of_another_job_is_refused_however_often_it_is_tried(tmp_path: Path) -> None:
    train(tiny.config(tmp_path), tmp_path / "run", report=tiny.silent)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    done = subprocess.run(torchrun(tmp_path, "--max-restarts", "1"), capture_output=True, text=True)
    assert done.returncode != 0 and "already holds a run" in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
