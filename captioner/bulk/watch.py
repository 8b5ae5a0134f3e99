"""Actors that were stopped together with the children that watch them: somebody else notices, and kills both.

Each actor sends its heartbeat to one actor more, the watch. When one is silent the watch has somebody look on
its node: the network may be what is away, and only a process that is stopped is killed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from captioner.bulk.process import TICK


class Watched(NamedTuple):
    """A process of a node; when it was started tells it from a later one of the same number."""

    pid: int
    start: str


@dataclass
class Heart:
    """Of an actor: what was heard last, and the seconds of silence since."""

    node: str
    processes: Sequence[Watched]
    silent: float = 0.0


class Watch:
    """An actor that hears the hearts of the others.

    Args:
        patience: seconds of silence after which an actor is looked at.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.hearts: dict[str, Heart] = {}  # by actor
        threading.Thread(target=self._listen, daemon=True).start()

    def beat(self, actor: str, node: str, processes: Sequence[Watched]) -> None:
        """An actor lives, on a node, as these processes."""
        self.hearts[actor] = Heart(node, processes)

    def _listen(self) -> None:
        nap = min(TICK, self.patience / 4)
        while True:
            time.sleep(nap)
            for actor, heart in list(self.hearts.items()):
                heart.silent += nap  # by its own naps: a machine that slept is not taken for silence
                if heart.silent >= self.patience:
                    del self.hearts[actor]  # until it is heard again
                    _on_node(heart.node, heart.processes)


def started(ray: Any, patience: float) -> Any:
    """A watch, as Ray's handle; it ends with the program that holds it."""
    return ray.remote(Watch).options(num_cpus=0, max_restarts=-1).remote(patience)


def beat(watch: Any, pids: Callable[[], Sequence[int]], patience: float) -> None:
    """Let a watch hear this actor from now on, and know its processes."""
    import ray

    context = ray.get_runtime_context()
    actor, node = context.get_actor_id(), context.get_node_id()

    def beats() -> None:
        while True:
            processes = [Watched(pid, seen[1]) for pid in pids() if (seen := _look(pid)) is not None]
            watch.beat.remote(actor, node, processes)
            time.sleep(min(TICK, patience / 4))

    threading.Thread(target=beats, daemon=True).start()


def kill_stopped(processes: Sequence[Watched]) -> None:
    """Kill those of this machine's processes that are stopped."""
    for process in processes:
        if _look(process.pid) == ("T", process.start):
            with suppress(OSError):  # it has ended meanwhile
                os.kill(process.pid, signal.SIGKILL)


def _on_node(node: str, processes: Sequence[Watched]) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    ray.remote(kill_stopped).options(num_cpus=0, scheduling_strategy=there).remote(processes)


def _look(pid: int) -> tuple[str, str] | None:
    """A process's state, and when it was started; None: it has ended, or this is no Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]
