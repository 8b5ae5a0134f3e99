"""What a launcher such as torchrun tells the processes that it starts: who they are, and of which job."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.ranks import Ranks
from captioner.training.run_folder import begun_by, mark_in

MARK = "# begun by the torchrun job "


def launched() -> Ranks:
    """This process among those of its job; one alone where no launcher started it.

    Raises:
        CaptionerError: the launcher's numbers make no sense.
    """
    if not os.environ.get("RANK") or os.environ.get("WORLD_SIZE", "") in ("", "1"):
        return Ranks()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    given = [os.environ.get(name) or "" for name in names]
    try:
        rank, size, local = int(given[0]), int(given[1]), int(given[2] or 0)
        local_size = int(given[3] or local + 1)
    except ValueError:
        rank = size = local = local_size = 0
    if not (0 <= rank < size and 0 <= local < local_size <= size):
        told = ", ".join(f"{name}={value}" for name, value in zip(names, given))
        raise CaptionerError(f"train: {told} are not the numbers of a launcher such as torchrun")
    return Ranks(rank, size, local, local_size)


def check_launched(ranks: Ranks, job: Job, multirun: bool, named: bool) -> None:
    """Refuse what several processes cannot do together, and what a restart could not resume.

    Args:
        multirun: whether this is one of several runs.
        named: whether the user has named the run folder.
    """
    if ranks.several and multirun:
        raise CaptionerError(f"-m: {ranks.size} processes train one model; start every run by itself")
    if job.restarts and not named:
        raise CaptionerError("output: name the run folder, by which restarted processes find their run")
    if job.restarts and job.keeps_store and ranks.size > ranks.local_size:
        raise CaptionerError(
            "train: on several machines, --max-restarts needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the "
            "environment of torchrun"
        )


class Job:
    """What a restarted process knows its own run by: its job, and what was typed.

    A job without an id of its own is known by the process that started this one, which outlives restarts.

    Attributes:
        restarts: whether the launcher starts all processes anew when one has ended.
        keeps_store: whether they then find the addresses of those before.

    Args:
        given: the command's arguments.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self.typed = hashlib.sha256("\0".join(given).encode()).hexdigest()[:16]
        self.name = os.environ.get("TORCHELASTIC_RUN_ID", "")
        if self.name == "none":
            self.name = f"{platform.node()}-{os.getppid()}"
        self.keeps_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        self.restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") not in ("", "0")

    @property
    def mark(self) -> str:
        """A line for the run's configuration; empty outside torchrun."""
        return f"{MARK}{self.name}, {self.typed}\n" if self.name else ""

    def began(self, folder: Path, first: bool) -> bool:
        """Whether this job began the run of the folder.

        Args:
            first: otherwise this may be another machine than rank 0's, so that only what was typed counts.
        """
        if first or not self.mark:
            return begun_by(folder, self.mark)
        line = mark_in(folder)
        return line.startswith(MARK) and line.endswith(f", {self.typed}\n")
