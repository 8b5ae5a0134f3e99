"""A job that was started anew and does not find its run says so."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
import torch
from support import tiny
from support.group import group

from captioner.errors import CaptionerError
from captioner.system.signals import Stop
from captioner.training.found import check_found
from captioner.training.loop import train
from captioner.training.ranks import ALONE, Ranks
from captioner.training.rendezvous import joined

CPU = torch.device("cpu")
MARK = "# begun by the torchrun job a, 1\n"


@pytest.mark.parametrize("restarts", ["0", "1"])
@pytest.mark.parametrize("has_state", [False, True])
def test_start_from_nothing_is_told_of_a_job_started_anew(
    restarts: str,
    has_state: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
    lines: list[str] = []
    check_found(ALONE, tmp_path, MARK, has_state, lines.append)
    told = restarts == "1" and not has_state
    assert [f"and {tmp_path} on {platform.node()} holds no state" in line for line in lines] == [True] * told
    assert capsys.readouterr().err == "".join(f"captioner: {line}\n" for line in lines)


def test_run_that_another_machine_has_is_not_begun_anew(tmp_path: Path) -> None:
    """Two folders stand for the disks of two machines, of which the second was rank 0's before."""
    config, places = tiny.config(tmp_path), [tmp_path / "here", tmp_path / "there"]
    train(config, places[1], report=tiny.silent, mark=MARK)
    before = {path.name: path.read_bytes() for path in places[1].iterdir()}

    def work(ranks: Ranks) -> list[str]:
        with pytest.raises(CaptionerError) as error:
            train(config, places[ranks.rank], ranks.rank == 1, tiny.silent, ranks, MARK)
        with joined(moved(ranks), CPU, Stop(again=False)):  # the run of another job is none of its business
            check_found(ranks, places[ranks.rank], f"{MARK}b", ranks.rank == 1, tiny.silent)
        return [str(error.value)]

    told, statuses = group(2, work, tmp_path)
    assert statuses == [0, 0]
    for (line,) in told:
        assert line.startswith("output: rank 0, on ") and ", and rank 1, on" in line
    assert {path.name: path.read_bytes() for path in places[1].iterdir()} == before
    assert list(places[0].iterdir()) == []


def moved(ranks: Ranks) -> Ranks:
    """The same processes, which meet anew, at another address."""
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    return ranks
