"""The processes of a job meet, train together, and part."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from captioner.errors import CaptionerError, first_line
from captioner.system.signals import Stop
from captioner.training.ranks import Ranks

OF_ENCODING = timedelta(days=30)  # how long the first rank waits for the last
PATIENCE = timedelta(hours=1)  # for a rank that is behind, as rank 0 is while it saves and scores


@contextmanager
def joined(ranks: Ranks, device: torch.device, stop: Stop) -> Iterator[None]:
    """Within the block the ranks can communicate, and a signal to one of them stops all at the same step.

    Raises:
        CaptionerError: they cannot reach each other, or one of them is lost.
    """
    if not ranks.several:
        yield
        return
    try:
        _join(ranks, device, stop)
        yield
    except (RuntimeError, ValueError) as error:
        if not _lost(error):
            raise
        first = re.sub(r"^\[\S+\] ", "", first_line(error))  # without gloo's own source file
        reason = first.split(". ")[0]
        raise CaptionerError(f"training: rank {ranks.rank} has lost the others ({reason})") from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _join(ranks: Ranks, device: torch.device, stop: Stop) -> None:
    store, rank, size = next(dist.rendezvous("env://", timeout=OF_ENCODING))
    # torchrun keeps its store when it starts the processes anew, with the addresses of those before
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if ranks.local_size == ranks.size else "0"
    store = dist.PrefixStore(f"captioner {attempt}", store)
    store.add("ready", 1)
    while store.add("ready", 0) < size:  # a signal may still end this one here
        time.sleep(0.05)
    stop.check()
    cuda = device.type == "cuda"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",  # hosts agree without waiting for their GPUs
        store=store,
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
        device_id=device if cuda else None,
    )


def _lost(error: Exception) -> bool:
    """Whether it is about the others, rather than about what is computed here."""
    words = ("gloo", "NCCL", "rendezvous", "Connection", "MASTER_ADDR")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)
