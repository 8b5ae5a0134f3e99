"""Processes of this machine, as ``/proc`` lists them: whose they are, and whether they run."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process; ``start`` tells it from a later one of the same number.

    Attributes:
        command: its arguments, each ended by a null character.
    """

    pid: int
    parent: int
    state: str
    start: int
    command: str

    @property
    def runs(self) -> bool:
        """Whether it is there still, and not as a zombie."""
        now = _read(self.pid)
        return now is not None and now.start == self.start and now.state != "Z"


def descendants(pid: int) -> list[Process]:
    """The processes that a process started, and theirs."""
    entries = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    found = {process.pid: process for number in entries if (process := _read(number)) is not None}

    def below(process: Process | None) -> bool:
        return process is not None and (process.parent == pid or below(found.get(process.parent)))

    return [process for process in found.values() if below(process)]


def ray_actors(pid: int) -> list[Process]:
    """The actors of Ray among them."""
    return [process for process in descendants(pid) if process.command.startswith("ray::MapWorker(")]


def ray_cluster(cpus: int, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    """A cluster of Ray on this machine and its address; it ends with the process that is returned."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    command += [
        f"--port={port}",
        "--node-ip-address=127.0.0.1",
        f"--num-cpus={cpus}",
        "--include-dashboard=false",
    ]
    process = subprocess.Popen([*command, "--disable-usage-stats"], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if b"Ray runtime started" in line:
            return process, f"127.0.0.1:{port}"
    raise RuntimeError(f"ray start ended with {process.wait()}")


def _read(pid: int) -> Process | None:
    folder = Path("/proc", str(pid))
    try:
        state, parent, *others = (folder / "stat").read_text().rpartition(")")[2].split()
        return Process(pid, int(parent), state, int(others[17]), (folder / "cmdline").read_text())
    except OSError:  # it has ended meanwhile
        return None
