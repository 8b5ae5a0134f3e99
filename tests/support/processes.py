"""Processes of this machine, as ``/proc`` lists them: whose they are, and whether they run."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
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


def ray_cluster(
    cpus: int, folder: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """A cluster of Ray, on this machine alone and with a token of its own, which is kept in ``folder``.

    Returns:
        What to terminate, and the environment of a command that joins it.
    """
    token = folder / "ray-token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    host = "127.0.0.2"  # Ray takes 127.0.0.1 for this machine's address in its network
    with socket.socket() as free:
        free.bind((host, 0))
        address = f"{host}:{free.getsockname()[1]}"
    own = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    command += [f"--node-ip-address={host}", f"--port={address.rpartition(':')[2]}", f"--num-cpus={cpus}"]
    command += ["--include-dashboard=false", "--disable-usage-stats"]
    starts = {**environment, **own}
    del starts["RAY_ADDRESS"]
    process = subprocess.Popen(command, env=starts, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if b"Ray runtime started" in line:
            return process, {**environment, **own}
    raise RuntimeError(f"ray start ended with {process.wait()}")


def _read(pid: int) -> Process | None:
    folder = Path("/proc", str(pid))
    try:
        state, parent, *others = (folder / "stat").read_text().rpartition(")")[2].split()
        return Process(pid, int(parent), state, int(others[17]), (folder / "cmdline").read_text())
    except OSError:  # it has ended meanwhile
        return None
