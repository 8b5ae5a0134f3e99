"""How much memory a call takes at its peak, measured from outside: in a process of its own."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable


def peak_growth(call: Callable[[], object]) -> int:
    """Bytes by which the resident memory of a fork of this process grows at the most during ``call``.

    Counts what C libraries allocate too. An exception of ``call`` is raised here by its name.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).malloc_trim(0)  # or what the parent has freed would be used again
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak from here on
            before = _status("VmHWM")
            call()
            answer = str(_status("VmHWM") - before)
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer.isdecimal():
        raise RuntimeError(answer or "the process died")
    return int(answer)


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith(key)]
    return int(line.split()[1]) * 1024
