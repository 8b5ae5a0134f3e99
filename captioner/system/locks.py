"""Files and folders that one process at a time may write to.

The lock is the operating system's own, on the file or folder itself. It leaves nothing on the disk and ends
with the process that holds it, however that ends.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


_held: set[int] = set()


def _let_go() -> None:
    """In a forked child, which would hold its parent's locks beyond the parent's end."""
    while _held:
        os.close(_held.pop())


if fcntl is not None:
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def owned(path: Path, wait: Callable[[], None] | None = None, shared: bool = False) -> Iterator[bool]:
    """Whether this process may write to ``path``, which exists; no other process may before the block ends.

    Where there are no such locks (Windows, some network file systems) any process may.

    Args:
        wait: is called if another process owns the path, before waiting for it to end; None: do not wait.
        shared: processes that share it may write side by side, while none owns it alone.
    """
    if fcntl is None:
        yield True
        return
    handle = os.open(path, os.O_RDONLY)
    _held.add(handle)
    try:
        yield _lock(handle, wait, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    finally:
        if handle in _held:
            _held.remove(handle)
            os.close(handle)


def _lock(handle: int, wait: Callable[[], None] | None, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if wait is None:
            return False
        wait()
        fcntl.flock(handle, kind)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.ENOSYS):
            raise
    return True
