"""The child process that works on shards, as its parent sees it: asked, answering, dead or hanging."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from captioner.bulk.process import TICK
from captioner.errors import CaptionerError

PYTHON = (sys.executable, "-m")
STALLED = 600.0  # seconds without an answer, after which a process is taken to hang
STARTS = 2  # of a process that dies while it loads the model

Answers = queue.Queue[dict[str, Any] | None]  # None: there are no more


class Died(Exception):
    """The process ended, or was ended because it hung; the message says how."""


class Child:
    """A process that is started when it is asked something, and anew after it died.

    Args:
        settings: a dataclass of plain values.
        command: that starts it.
        stalled: seconds without an answer, after which it is killed.
        patience: seconds after which it kills this process, should that be stopped; None: it never does.
    """

    def __init__(self, settings: Any, command: Sequence[str], stalled: float, patience: float | None) -> None:
        self.settings, self.command, self.stalled, self.patience = settings, command, stalled, patience
        self.process: subprocess.Popen[bytes] | None = None
        self.reading: dict[int, int] = {}  # the position of the image that each thread read last
        self._answers: Answers = queue.Queue()
        self._writing = threading.Lock()

    def ask(self, what: str, shard: Any, positions: Sequence[int] | None = None) -> None:
        """Ask for the records or the names of a shard.

        Raises:
            CaptionerError: the process cannot be started.
        """
        process = self.process or self.start()
        self.reading = {}
        wanted = None if positions is None else list(positions)
        self._send(process, {"what": what, "shard": asdict(shard), "positions": wanted})

    def answer(self, stalled: float | None = None) -> dict[str, Any]:
        """Its next answer.

        Raises:
            Died: it ended, or did not answer in time.
            CaptionerError: it refused.
        """
        stalled = self.stalled if stalled is None else stalled
        silent, nap = 0.0, min(TICK, stalled)
        while silent < stalled:  # by our own naps: a machine that slept is no process that hangs
            try:
                answer = self._answers.get(timeout=nap)
            except queue.Empty:
                silent += nap
                continue
            if answer is None:
                raise Died(_how(self._end(0.5)))  # it may be on its way out, with a status of its own
            if "refused" in answer:
                self._end()
                raise CaptionerError(answer["refused"])
            if "reads" not in answer:
                return answer
            self.reading[answer["thread"]], silent = answer["reads"], 0.0
        self._end()
        raise Died(f"without an answer in {stalled:g} s")

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, and wait until it has the model.

        Raises:
            CaptionerError: the model cannot be loaded, or the process dies of that.
        """
        how = ""
        for _ in range(STARTS):
            self._answers = queue.Queue()
            self.process = process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            threading.Thread(target=_listen, args=(process.stdout, self._answers), daemon=True).start()
            if self.patience is not None:
                threading.Thread(target=self._beat, args=(process, self.patience), daemon=True).start()
            self._send(process, {"settings": asdict(self.settings), "patience": self.patience})
            try:
                self.answer(max(self.stalled, STALLED))
                return process
            except Died as error:
                how = str(error)
        raise CaptionerError(f"the process for shards died {STARTS} times while it loaded the model, {how}")

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self._end()

    def _send(self, process: subprocess.Popen[bytes], asked: dict[str, Any] | None) -> None:
        assert process.stdin is not None
        try:
            with self._writing:
                process.stdin.write(b"\n" if asked is None else json.dumps(asked).encode() + b"\n")
                process.stdin.flush()
        except (OSError, ValueError):  # it has ended, or was: its missing answer tells
            pass

    def _beat(self, process: subprocess.Popen[bytes], patience: float) -> None:
        wait = threading.Event()
        while self.process is process:
            self._send(process, None)
            wait.wait(min(TICK, patience / 4))

    def _end(self, grace: float = 0.0) -> int:
        process, self.process = self.process, None
        assert process is not None
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                assert stream is not None
                stream.close()
            except OSError:  # what was not sent cannot be
                pass
        return status


def _listen(file: Any, answers: Answers) -> None:
    try:
        for line in file:
            if not line.endswith(b"\n"):
                break
            answers.put(json.loads(line))
    except ValueError:  # closed while it was read
        pass
    answers.put(None)


def _how(status: int) -> str:
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
