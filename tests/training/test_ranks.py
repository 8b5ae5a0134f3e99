"""Several processes train one model: the same gradients, weights and decisions as of one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import tiny
from support.gradients import agree, cases, config_of, gradients, in_double, without_chance
from support.group import furthest, group
from torch.nn.parallel import DistributedDataParallel

from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.features import split
from captioner.system.signals import Stop, Stopped
from captioner.training import validation
from captioner.training.launched import Job, check_launched, launched
from captioner.training.loop import train
from captioner.training.ranks import ALONE, Ranks
from captioner.training.rendezvous import joined
from captioner.training.run_folder import load_resume_state, write_config

CPU = torch.device("cpu")
SIZES = (2, 3)
FEW = ("lstm 1", "hard", "whole encoder", "self-critical", "parts")  # of the cases; the others take longer


def run_of(folder: Path) -> TrainConfig:
    """Three epochs of eleven images, so that a batch is uneven and the last one smaller than three."""
    config = config_of(folder, images=11, batch_size=4, epochs=3, average=0.9, clip_norm=5.0)
    config.encoder.fine_tune = False
    config.training.crop = 0.5
    return config


def interrupted(step: int, rank: int) -> Callable[..., Any]:
    """SIGTERM reaches one rank alone, at a step of the run."""
    real, steps = Ranks.summed, iter(range(1, 100))

    def summed(self: Ranks, loss: Any) -> Any:
        if next(steps) == step and self.rank == rank:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, loss)

    return summed


def work(folder: Path, ranks: Ranks, names: Sequence[str] = (), whole: bool = True) -> dict[str, Any]:
    """What one process of a group does: gradients of the cases of some names, and training runs."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        in_double(patch)
        with patch.context() as inner, joined(ranks, CPU, Stop(again=False)):
            without_chance(inner)
            chosen = {name: config for name, config in cases(folder).items() if not names or name in names}
            unreduced = Calls(DistributedDataParallel.no_sync)
            inner.setattr(DistributedDataParallel, "no_sync", unreduced)
            found["gradients"] = {name: gradients(config, ranks) for name, config in chosen.items()}
            found["unreduced"] = unreduced.count
        patch.setattr(validation, "SEARCHED_TOGETHER", 3)  # so that eight images are three batches
        if whole:
            train(run_of(folder), folder / f"whole{ranks.size}", report=tiny.silent, ranks=another(ranks))
        resumed = ranks.size != 2  # within the first epoch, then within the second
        if ranks.several:
            patch.setattr(Ranks, "summed", interrupted(2 if ranks.size == 2 else 3, ranks.size - 1))
        try:
            train(run_of(folder), folder / "parts", resumed, tiny.silent, another(ranks))
        except Stopped as stopped:
            found["stopped"] = stopped.status
    return found


class Calls:
    """A method, and how often it was called."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method, self.count = method, 0

    def __get__(self, owner: object, _: type) -> Callable[..., Any]:
        def called() -> Any:
            self.count += 1
            return self.method(owner)

        return called


def another(ranks: Ranks) -> Ranks:
    """The same processes, which meet anew, elsewhere than before."""
    os.environ["MASTER_PORT"] = str(int(os.environ.get("MASTER_PORT", 0)) + 1)
    return ranks


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes have done of all this, and then one."""
    folder = tmp_path_factory.mktemp("pair")
    results, statuses = group(2, lambda ranks: work(folder, ranks, FEW, whole=False), folder)
    assert statuses == [0, 0]
    assert not (folder / "parts" / "model.safetensors").exists()  # stopped within the first epoch
    return [*results, work(folder, ALONE, FEW, whole=False)]


def test_two_processes_take_the_steps_of_one(pair: list[dict[str, Any]]) -> None:
    one, *two = (result["gradients"] for result in reversed(pair))
    assert set(one) == set(FEW)
    assert [agree(one, other) for other in two] == [set(FEW)] * 2


def test_gradients_are_reduced_once_a_step(pair: list[dict[str, Any]]) -> None:
    """Three images in two parts on two ranks are four pieces, the last batch is one part."""
    assert [result["unreduced"] for result in pair] == [2, 2, 0]


def test_signal_to_one_of_two_stops_both(pair: list[dict[str, Any]]) -> None:
    assert [result.get("stopped") for result in pair] == [143, 143, None]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """By the number of processes, in the order in which they train the run of parts."""
    folder = tmp_path_factory.mktemp("ranks")
    found: dict[int, Any] = {0: folder}
    for size in SIZES:
        results, statuses = group(size, lambda ranks: work(folder, ranks), folder)
        assert statuses == [0] * size
        found[size] = results
    found[1] = [work(folder, ALONE)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_one_process(done: dict[int, Any], size: int) -> None:
    alone = done[1][0]["gradients"]
    for rank in done[size]:
        assert agree(alone, rank["gradients"]) == set(cases(done[0]))


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("run", ["whole2", "whole3", "parts"])
def test_run_ends_like_that_of_one_process(done: dict[int, Any], run: str) -> None:
    """``parts`` had two ranks, was stopped, had three, was stopped, had one."""
    one, other = (load_resume_state(done[0] / name / "resume.pt") for name in ("whole1", run))
    for part in ("model", "average"):
        assert furthest(one[part], other[part]) < 1e-9
    for ours, theirs in zip(metrics(done[0] / "whole1"), metrics(done[0] / run), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-6)


@pytest.mark.slow
def test_two_hundred_images_end_with_the_weights_of_one_process(tmp_path: Path) -> None:
    """Three epochs of 17 steps, the last of eight images, with crops and mirror images."""

    def trained(ranks: Ranks) -> None:
        config = config_of(tmp_path, images=200, batch_size=12, epochs=3, crop=0.5, clip_norm=5.0)
        config.encoder.fine_tune = False
        with pytest.MonkeyPatch.context() as patch:
            in_double(patch)
            train(config, tmp_path / str(ranks.size), report=tiny.silent, ranks=ranks)

    trained(ALONE)
    one = load_resume_state(tmp_path / "1" / "resume.pt")
    for size in SIZES:
        assert group(size, trained, tmp_path)[1] == [0] * size
        other = load_resume_state(tmp_path / str(size) / "resume.pt")
        assert other["progress"]["epoch"] == 3
        distance = furthest(one["model"], other["model"])
        print(f"{size} ranks: weights within {distance:.1e}")
        assert distance < 1e-6
        for ours, theirs in zip(metrics(tmp_path / "1"), metrics(tmp_path / str(size)), strict=True):
            assert theirs == pytest.approx(ours, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_signal_to_one_rank_stops_all(done: dict[int, Any], size: int) -> None:
    assert [rank["stopped"] for rank in done[size]] == [143] * size


def test_device_is_that_of_the_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Ranks(rank=3, size=4, local_rank=1, local_size=2)
    assert ranks.device("cpu") == torch.device("cpu")
    with pytest.raises(CaptionerError, match=r"^run.device: 'cuda:1' .* 4 processes"):
        ranks.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    assert ranks.device("auto") == ranks.device("cuda") == torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(CaptionerError, match=r"2 processes .* 1 GPUs"):
        ranks.device("auto")


@pytest.mark.parametrize("count", [0, 1, 8, 9, 25])
def test_shares_of_a_split_are_whole_batches_of_it(count: int) -> None:
    whole = split.Split(list(range(count)), np.arange(count))  # type: ignore[arg-type]
    for size in (1, 2, 3, 5):
        shares = [Ranks(rank, size).share(whole, 4) for rank in range(size)]
        assert [image for share in shares for image in share.records] == list(whole.records)
        assert all(len(share.records) == len(share.features) for share in shares)
        assert all(share.records[0] % 4 == 0 for share in shares if len(share))
        rounds = []
        for rank, share in enumerate(shares):
            calls = [None] * -(-len(share) // 4)
            Ranks(rank, size).wait_for_batches(count, 4, lambda calls=calls: calls.append(None))
            rounds.append(len(calls))
        assert len(set(rounds)) == 1  # else one would wait for ever


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "2"}, {"RANK": "-1"}, {"WORLD_SIZE": "0"}, {"LOCAL_RANK": "x"}, {"LOCAL_RANK": "2"}],
    ids=str,
)
def test_numbers_that_no_launcher_gives_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    launcher = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    assert launched() == Ranks(1, 2, 1, 2)
    ((name, value),) = environment.items()
    monkeypatch.setenv(name, value)
    with pytest.raises(CaptionerError, match=rf"^train: .*{name}={value}"):
        launched()


def test_restarts_that_could_not_resume_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two_machines = Ranks(0, 2, 0, 1)
    check_launched(two_machines, Job([]), multirun=False, named=False)  # nothing is said of restarts
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    with pytest.raises(CaptionerError, match=r"^output: "):
        check_launched(two_machines, Job([]), multirun=False, named=False)
    check_launched(two_machines, Job([]), multirun=False, named=True)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(CaptionerError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        check_launched(two_machines, Job([]), multirun=False, named=True)
    check_launched(Ranks(0, 2, 0, 2), Job([]), multirun=False, named=True)


def test_job_knows_its_own_run_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    job = Job(["cell=gru"])
    assert not job.began(tmp_path, first=True)
    write_config(tiny.config(tmp_path), tmp_path, job.mark)
    assert Job(["cell=gru"]).began(tmp_path, first=True)
    assert not Job(["cell=lstm"]).began(tmp_path, first=True)
    assert not Job(["cell=lstm"]).began(tmp_path, first=False)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "b")
    assert not Job(["cell=gru"]).began(tmp_path, first=True)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    write_config(tiny.config(tmp_path), tmp_path, Job([]).mark)
    assert not Job([]).began(tmp_path, first=True)  # outside torchrun nothing is started anew
