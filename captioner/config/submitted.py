"""The jobs that submitit has submitted, to Slurm or on this machine, end with the command that waits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from captioner.system.signals import SIGNALS, Stopped

SECONDS_TO_SAVE = 30  # of a job on this machine, Slurm's own default


@contextmanager
def cancelling() -> Iterator[None]:
    """Within its block Ctrl-C and SIGTERM cancel what submitit has submitted.

    Raises:
        Stopped: a signal has arrived; its message says what was cancelled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from submitit import AutoExecutor

    jobs: list[Any] = []
    submitting = False
    requested: list[int] = []
    submit: Callable[..., Any] = AutoExecutor._internal_process_submissions

    def noted(*given: Any) -> Any:
        nonlocal submitting
        submitting = True
        try:
            jobs.extend(submitted := submit(*given))  # Hydra's launcher keeps them to itself
        finally:
            submitting = False
        if requested:
            raise Stopped(requested[0])
        return submitted

    def stop(number: int, _: FrameType | None) -> None:
        requested.append(number)
        if len(requested) == 1 and not submitting:
            raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    AutoExecutor._internal_process_submissions = noted  # type: ignore[method-assign, assignment]
    try:
        yield
    except Stopped as stopped:
        raise Stopped(stopped.number, _cancel(jobs)) from None
    finally:
        AutoExecutor._internal_process_submissions = submit  # type: ignore[method-assign]
        for number, handler in before.items():
            signal.signal(number, handler)


def _cancel(jobs: Sequence[Any]) -> str:
    """Cancel the jobs that have not ended; returns a line that says which."""
    running = [job for job in jobs if not job.done(force_check=True)]
    # submitit's own cancel gives a job on this machine one second, too few to save a state
    local = [job for job in running if getattr(job, "_process", None) is not None]
    for job in local:
        job._process.terminate()
    deadline = time.monotonic() + SECONDS_TO_SAVE
    while time.monotonic() < deadline and any(job._process.poll() is None for job in local):
        time.sleep(0.1)
    failed = []
    for job in running:
        if job in local and job._process.poll() is not None:
            continue
        try:
            job.cancel()
        except Exception:  # scancel is not there, or refuses
            failed.append(job.job_id)
    told = ", ".join(job.job_id for job in running if job.job_id not in failed) or "none"
    line = f"stopped; cancelled jobs of submitit: {told}"
    if failed:
        line += f"; not cancelled: {', '.join(failed)}, end them with scancel"
    return f"{line}; resume a run with: captioner train resume=RUN, a comparison with the same command"
