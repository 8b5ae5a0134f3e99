"""What a step came to may be read a step later, as it is of a GPU: nothing that is kept depends on it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny

from captioner.errors import DivergedError
from captioner.system.signals import Stopped
from captioner.training import loop, state
from captioner.training.loop import train
from captioner.training.ranks import Ranks
from captioner.training.run_folder import load_resume_state
from captioner.training.unread import most_unread

KEPT = ("model.safetensors", "metrics.jsonl", "resume.pt")
STEPS = 4  # of an epoch


def run(folder: Path, late: int, resume: bool = False, **options: Any) -> Path:
    """The folder of a run of which steps are read so many steps late."""
    config = tiny.config(folder, epochs=2, **options)
    config.encoder.fine_tune = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "most_unread", lambda *_, **__: late)
        train(config, folder / "run", resume, tiny.silent)
    return folder / "run"


def test_gpu_alone_is_read_late_and_only_where_the_step_reads_nothing() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [most_unread(*one) for one in ((gpu, False), (gpu, True), (cpu, False))] == [1, 0, 0]


def test_run_stopped_and_resumed_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole", late=0)
    check, calls = Ranks.check, count(1)

    def stopped(ranks: Ranks, stop: Any) -> None:
        check(ranks, stop)
        if next(calls) == 3:
            raise Stopped(15)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Ranks, "check", stopped)
        run(tmp_path, late=1)
    assert load_resume_state(tmp_path / "run" / "resume.pt")["progress"]["sums"]["steps"] == 3
    run(tmp_path, late=1, resume=True)
    for name in KEPT[:2]:
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("late", "step", "minutes"),
    [(0, STEPS + 1, 0), (1, STEPS + 1, 0), (1, 2 * STEPS, 0), (1, STEPS + 1, 1e-9)],
)
def test_step_that_diverged_is_told_and_never_kept(
    late: int, step: int, minutes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls, kept = loop.step_gradient, count(1), {}

    def diverging(run: Any, *others: Any) -> Any:
        found = real(run, *others)
        if next(calls) == step:
            kept.update({name: (tmp_path / "run" / name).read_bytes() for name in KEPT})
            for weight in run.model.parameters():
                weight.grad = torch.full_like(weight, torch.nan)
        return found

    monkeypatch.setattr(loop, "step_gradient", diverging)
    with pytest.raises(DivergedError, match=rf"no longer finite \(epoch 2, step {step - STEPS}, "):
        run(tmp_path, late, save_minutes=minutes)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in KEPT} == kept
