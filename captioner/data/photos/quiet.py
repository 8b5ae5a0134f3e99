"""Keeps what C libraries print on standard error, without naming the file, off the terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_kept = -1  # standard error, while it leads nowhere


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the block nothing that any thread writes to file descriptor 2 is seen."""
    global _inside, _kept
    with _lock:
        _inside += 1
        if _inside == 1:
            _kept = _redirect()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _kept >= 0:
                os.dup2(_kept, 2)
                os.close(_kept)


def _redirect() -> int:
    try:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    except OSError:  # there is no standard error
        return -1
    return kept
