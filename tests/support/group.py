"""Several processes of one job, as a launcher starts them, forked from the one that tests."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from tools.kill_anywhere import ended, forked

from captioner.training.ranks import Ranks


def group(
    size: int, work: Callable[[Ranks], Any], folder: Path, seconds: float = 300
) -> tuple[list[Any], list[int | None]]:
    """What each rank's work returned, where it did, and its exit status."""
    port = free_port()
    processes = []
    for rank in range(size):

        def run(rank: int = rank) -> None:
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(size))
            torch.save(work(Ranks(rank, size, rank)), folder / f"{size}-{rank}.pt")

        (folder / f"{size}-{rank}.pt").unlink(missing_ok=True)
        processes.append(forked(run))
    deadline = time.monotonic() + seconds
    statuses = [ended(process, max(0.1, deadline - time.monotonic())) for process in processes]
    for process, status in zip(processes, statuses):
        if status is None:
            os.kill(process, signal.SIGKILL)
    files = [folder / f"{size}-{rank}.pt" for rank in range(size)]
    return [torch.load(f, weights_only=False) if f.exists() else None for f in files], statuses


def free_port() -> int:
    """One below those that the system gives to connections, which could take it before the job listens."""
    while True:
        port = random.randint(20_000, 30_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def furthest(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """The largest difference of two sets of tensors, relative to the largest value of each tensor."""
    assert one.keys() == other.keys()
    distances = [0.0]
    for name, tensor in one.items():
        if tensor.is_floating_point():
            scale = tensor.abs().max().item() or 1.0
            distances.append((tensor - other[name]).abs().max().item() / scale)
    return max(distances)
