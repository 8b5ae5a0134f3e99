"""Ctrl-C and SIGTERM, handled where a run can be stopped and resumed."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal ended the run; its message says how to resume, and ``status`` is what to exit with."""

    def __init__(self, number: int, message: str = "interrupted") -> None:
        super().__init__(message)
        self.number = number
        self.status = 128 + number  # 130 for Ctrl-C, 143 for SIGTERM, as shells have it

    def __reduce__(self) -> tuple[type[Stopped], tuple[int, str]]:
        return type(self), (self.number, str(self))


class Stop:
    """Within its block a signal is a request that :meth:`check` grants; a second one exits at once.

    Before the first :meth:`check` there is nothing to leave in order, so a signal raises where it arrives.
    Signals reach the main thread only; in any other the block changes nothing.

    Args:
        again: whether a second one exits; not where a launcher repeats what it has told all processes.
    """

    def __init__(self, again: bool = True) -> None:
        self.again = again
        self.requested = 0  # the signal's number
        self.patient = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._request) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Called wherever the run may be left.

        Raises:
            Stopped: a signal has arrived.
        """
        self.patient = True
        if self.requested:
            raise Stopped(self.requested)

    def _request(self, number: int, _: FrameType | None) -> None:
        if self.requested and self.again:
            os._exit(128 + number)
        self.requested = self.requested or number
        if not self.patient:
            raise Stopped(number)
        if self.again:
            os.write(2, b"\ncaptioner: stopping after this step; once more stops at once\n")
