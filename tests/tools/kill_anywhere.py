"""Kill a tiny training run at random moments, go on with it, and compare its end with an uninterrupted run's.

    python tests/tools/kill_anywhere.py --times 30

Every run is a process of its own, forked from this one so that it need not import torch first. It is ended by
``kill -9``, SIGTERM or Ctrl-C's SIGINT anywhere between its start and its end, cache and saves included.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch._dynamo  # which optimizers import, and each run would anew
import torch.utils.tensorboard

sys.path.insert(0, str(Path(__file__).parents[1]))  # where support/ is

from support import tiny

from captioner.config.model import HardAttentionConfig
from captioner.system.signals import Stopped
from captioner.training.loop import train
from captioner.training.run_folder import load_resume_state

PATIENCE = 300  # seconds after which a run hangs
FAILED = 99  # exit status of a process that an exception ended
SAME = ("model.safetensors", "metrics.jsonl")  # files that must be equal to the byte


def forked(call: Callable[[], object]) -> int:
    """Call it in a process of its own, whose exit status is the number it returns; returns its id."""
    process = os.fork()
    if process:
        return process
    status = FAILED
    try:
        returned = call()
        status = returned if isinstance(returned, int) else 0
    except KeyboardInterrupt as end:
        status = end.status if isinstance(end, Stopped) else 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def start(folder: Path, save_minutes: float, log: Path) -> int:
    """Begin a run, or go on with it; what it says goes to a file. Returns its process's id."""

    def run() -> None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        config = tiny.config(folder.with_name(f"{folder.name}-home"), epochs=3, save_minutes=save_minutes)
        config.attention = HardAttentionConfig(size=16)
        train(config, folder, resume=(folder / "config.yaml").exists())

    return forked(run)


def ended(process: int, seconds: float = PATIENCE) -> int | None:
    """The exit status of a process, negative if a signal killed it; None if it has not ended by then."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)


def finish(run: Path, log: Path) -> None:
    status = ended(start(run, 0, log))
    assert status == 0, f"exit status {status}\n{log.read_text()}"


def check(run: Path, reference: Path) -> None:
    """Both runs hold the same, and nothing half-written."""
    for name in SAME:
        assert (run / name).read_bytes() == (reference / name).read_bytes(), f"{run / name} differs"
    one, other = (load_resume_state(folder / "resume.pt") for folder in (run, reference))
    for part in ("data", "model", "optimizer", "schedule", "baseline", "random"):
        assert equal(one[part], other[part]), f"{part} of {run / 'resume.pt'} differs"
    left = [*run.glob(".*"), *run.with_name(f"{run.name}-home").glob("cache/*/.*")]
    assert left == [], f"{left} are left"


def equal(one: Any, other: Any) -> bool:
    """Whether nested values are the same to the bit."""
    if isinstance(one, torch.Tensor):
        one, other = (tensor.contiguous().view(-1).view(torch.uint8) for tensor in (one, other))
        return torch.equal(one, other)  # as bytes, for a NaN equals nothing
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def kill_anywhere(folder: Path, times: int, random: Random) -> str:
    """Kill runs so many times; every one must end as the uninterrupted one did. Returns a line about it."""
    log, reference = folder / "log", folder / "reference"
    begin = time.monotonic()
    finish(reference, log)
    duration = time.monotonic() - begin
    killed = runs = resumed = 0
    slowest = 0.0  # from a signal to the end
    while killed < times:
        run, alive = folder / f"run{runs}", True
        runs += 1
        while alive and killed < times:
            resumed += (run / "resume.pt").exists()
            begin = time.monotonic()
            process = start(run, random.choice([0, 1e-9, 1e-4]), log)
            status = ended(process, random.uniform(0, duration))
            if alive := status is None:
                number = random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
                sent = time.monotonic()
                os.kill(process, number)
                status = ended(process)
                slowest = max(slowest, time.monotonic() - sent)
                killed += status != 0  # or it had just come to its end
                assert status in (0, -number, 128 + number), f"exit status {status}\n{log.read_text()}"
            else:
                assert status == 0, f"exit status {status}\n{log.read_text()}"
                duration = min(duration, time.monotonic() - begin)  # the next one is to be killed
        finish(run, log)
        check(run, reference)
    return (
        f"killed {killed} times in {runs} runs, {resumed} of the starts had something to go on with; "
        f"the slowest took {slowest:.1f} s to end; all ended as the uninterrupted run, to the bit"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill a tiny training run at random moments.")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with TemporaryDirectory() as place:
        print(kill_anywhere(Path(place), options.times, Random(options.seed)))
