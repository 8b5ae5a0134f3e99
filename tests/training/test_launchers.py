"""Sweeps and comparisons whose runs are jobs of Hydra's launchers, in processes of their own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from multiprocessing import cpu_count
from pathlib import Path

import pytest
import yaml
from support import tiny

from captioner.config.compose import readable, run_command
from captioner.config.launching import launch, raise_failures
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.system.signals import Stopped

joblib = pytest.mark.skipif(
    find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_joblib_launcher") is None,
    reason="needs pip install hydra-joblib-launcher",
)


def started(folder: Path, *arguments: str, launcher: str = "joblib") -> subprocess.Popen[str]:
    """A command in a process group of its own, as a terminal starts it."""
    given = [
        arguments[0],
        *["-m"] * (arguments[0] == "train"),
        *tiny.OVERRIDES,
        *arguments[1:],
        f"hydra/launcher={launcher}",
        f"run.cache={folder / 'cache'}",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "captioner", *given, f"output={folder / 'out'}"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_failures_are_told_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CaptionerError, match=r"^cell=gru: second$"):
        raise_failures(
            ["cell=lstm", "cell=coupled", "cell=gru"],
            [CaptionerError("first"), None, CaptionerError("second")],
        )
    assert capsys.readouterr().err == "captioner: cell=lstm: first\n"


def test_stopped_run_tells_another_process_how_to_resume() -> None:
    there = pickle.loads(pickle.dumps(Stopped(signal.SIGTERM, "resume=x")))
    assert (there.status, str(there)) == (143, "resume=x")


def test_launcher_that_is_not_installed_is_told() -> None:
    from hydra.errors import MissingConfigException

    error = MissingConfigException("", "hydra/launcher/joblib", ["basic"])
    assert readable(error).endswith("pip install hydra-joblib-launcher")


@joblib
def test_jobs_have_their_own_process_and_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def task(config: TrainConfig) -> None:
        (tmp_path / config.cell.name).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")
        if config.cell.name == "gru":
            raise CaptionerError("no such luck")

    with pytest.raises(CaptionerError, match=r"^cell=gru: no such luck$"):
        given = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "cell=gru,lstm"]
        run_command("train", TrainConfig, task, [*given, f"hydra.sweep.dir={tmp_path}"])
    for cell in ("gru", "lstm"):
        process, threads = (tmp_path / cell).read_text().split()
        assert int(process) != os.getpid() and int(threads) == max(cpu_count() // 2, 1)


@joblib
@pytest.mark.slow
def test_failed_run_is_named_and_the_others_finish(tmp_path: Path) -> None:
    run = started(tmp_path, "train", "cell=lstm,gru", "optimizer.learning_rate=0.01,1e30")
    lines = run.communicate(timeout=300)[1].splitlines()
    told = [line for line in lines if line.startswith("captioner: ")]  # a run may wait for the other's photos
    assert run.returncode == 2 and len(told) == 2
    for line, cell in zip(told, ("lstm", "gru")):
        assert line.startswith(f"captioner: optimizer.learning_rate=1e+30 cell={cell}: training: ")
    finished = set()
    for metrics in (tmp_path / "out").glob("*/metrics.jsonl"):
        made = yaml.safe_load((metrics.parent / "config.yaml").read_text())
        if metrics.read_text() and made["optimizer"]["learning_rate"] == 0.01:
            finished.add(made["cell"]["name"])
    assert finished == {"gru", "lstm"}


@joblib
@pytest.mark.slow
def test_stopped_comparison_leaves_runs_that_can_be_resumed(tmp_path: Path) -> None:
    given = ("compare", "cells=[lstm,gru]", "seeds=[0]", "equal=[width]", "training.patience=0")
    run = started(tmp_path, *given, "training.epochs=100000")
    runs = tmp_path / "out" / "runs"
    while len(list(runs.glob("*/resume.pt"))) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130 and not (tmp_path / "out" / "report.md").exists()
    left = {path: path.stat().st_mtime_ns for path in runs.glob("*/resume.pt")}
    time.sleep(2)
    assert left == {path: path.stat().st_mtime_ns for path in runs.glob("*/resume.pt")}  # nobody goes on
    assert len(left) == 2


@pytest.mark.skipif(find_spec("submitit") is None, reason="needs pip install hydra-submitit-launcher")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_cancels_what_submitit_has_submitted(tmp_path: Path, number: signal.Signals) -> None:
    """The command alone is told, so that it has to tell the jobs."""
    sweep = ("cell=lstm,gru", "training.patience=0", "training.epochs=100000", "hydra.launcher.timeout_min=9")
    run = started(tmp_path, "train", *sweep, launcher="submitit_local")
    while len(list((tmp_path / "out").glob("*/resume.pt"))) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    run.send_signal(number)
    said = run.communicate(timeout=90)[1].splitlines()
    assert run.returncode == 128 + number
    (told,) = (line for line in said if line.startswith("captioner: "))
    assert (
        told.startswith("captioner: stopped; cancelled jobs of submitit: ") and "; not cancelled" not in told
    )
    left = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/resume.pt")}
    time.sleep(2)
    assert left == {path: path.stat().st_mtime_ns for path in left} and len(left) == 2  # nobody goes on


def test_a_job_that_was_killed_on_slurm_is_told_in_one_line() -> None:
    utils = pytest.importorskip("submitit.core.utils")

    class Loses:
        __module__ = "submitit, as far as the test goes"

        def launch(self, *given: object) -> None:
            raise utils.UncompletedJobError("Job 7_0 (task: 0)\nhas not produced any output")

    with pytest.raises(CaptionerError, match=r"Job 7_0 \(task: 0\) ended without a result") as told:
        launch(Loses(), [["cell=lstm"]])  # type: ignore[arg-type]
    assert "\n" not in str(told.value)
