"""The process that works on shards, a child of the one that schedules: what kills it kills nothing else.

It takes one JSON object a line on standard input (the settings, then what is asked), and answers with one
a line. Empty lines are its parent's heartbeat; when standard input ends, its parent has, and so does it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, Protocol

from captioner.bulk.outputs import as_json
from captioner.bulk.shards import Reads
from captioner.errors import CaptionerError

TICK = 5.0  # seconds between heartbeats

_ANSWERING = threading.Lock()


class Worker(Protocol):
    """What is done with a shard, which comes as the plain values of its dataclass."""

    def names(self, shard: dict[str, Any]) -> list[list[str]]:
        """The key and the place of each image."""

    def records(
        self, shard: dict[str, Any], positions: Sequence[int] | None, reads: Reads
    ) -> Iterable[dict[str, Any]]:
        """A record per image, in order; of those at some positions only, or of all.

        Args:
            reads: is called with an image's position before it is read, by the thread that reads it.
        """


def answer(begin: Callable[[dict[str, Any]], Worker]) -> None:
    """Answer until standard input ends.

    Args:
        begin: gives the worker of some settings, which come as plain values.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    asked: queue.Queue[dict[str, Any]] = queue.Queue()
    beats = [0]
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked, beats), daemon=True).start()
    try:
        first = asked.get()
        if first["patience"] is not None:
            watch = threading.Thread(target=_watch, args=(beats, first["patience"]), daemon=True)
            watch.start()
        worker = begin(first["settings"])
        _answer(answers, ready=True)
        while True:
            _do(asked.get(), worker, answers)
    except CaptionerError as error:
        _answer(answers, refused=str(error))
    except BrokenPipeError:
        os._exit(0)


def _do(asked: dict[str, Any], worker: Worker, answers: BinaryIO) -> None:
    if asked["what"] == "names":
        _answer(answers, names=worker.names(asked["shard"]))
        return

    def reads(position: int) -> None:
        _answer(answers, reads=position, thread=threading.get_ident())

    for record in worker.records(asked["shard"], asked["positions"], reads):
        _answer(answers, record=record)
    _answer(answers, done=True)


def _answer(file: BinaryIO, **answer: Any) -> None:
    with _ANSWERING:
        file.write(as_json(answer))
        file.flush()


def _listen(file: BinaryIO, asked: queue.Queue[dict[str, Any]], beats: list[int]) -> None:
    for line in file:
        beats[0] += 1
        if line.strip():
            asked.put(json.loads(line))
    os._exit(0)


def _watch(beats: list[int], patience: float) -> None:
    """Kill a parent whose heart has stopped; its scheduler then knows, and starts another.

    Time is counted by this process's own naps, so that a machine that slept is not taken for it.
    """
    seen, silent = beats[0], 0.0
    nap = min(TICK, patience / 4)
    while silent < patience:
        time.sleep(nap)
        silent = silent + nap if beats[0] == seen else 0.0
        seen = beats[0]
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(1)
