"""Jobs that Hydra's launchers start, in this process or in others: what became of each, and how they stop.

A launcher hands a job's return value back from whatever process ran it, so that is how a job tells its
error. joblib's workers leave the terminal's process group: a signal reaches this process alone, which
passes it on once, and waits until each run has saved its state. joblib would kill them.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import active_children
from types import FrameType
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from captioner.config.submitted import cancelling
from captioner.errors import CaptionerError, first_line

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOST = (
    "a job's process was killed, perhaps for want of memory, and joblib ended the others; each can be resumed"
)
NO_RESULT = (
    "ended without a result, as one that was killed does; what it printed is in the output's .submitit, "
    "other jobs go on; resume a run with: captioner train resume=RUN, a comparison with the same command"
)
_received: list[int] = []  # signals, in a worker


def outcome(parent: int, argv: Sequence[str], work: Callable[[], None]) -> BaseException | None:
    """Do a job's work; returns what it raised.

    Args:
        parent: the process that launched it, in which an interrupt is raised as usual.
        argv: of that process.
    """
    if os.getpid() == parent:
        try:
            work()
        except Exception as error:
            return error
        return None
    sys.argv = list(argv)
    joblib = "joblib" in HydraConfig.get().launcher._target_
    try:
        if joblib:
            _become_worker()
        work()
    except CaptionerError as error:
        return error
    except KeyboardInterrupt as stopped:
        _received.append(signal.SIGTERM)  # where the run has handled it; the worker shall begin no other
        return stopped
    except Exception as error:
        traceback.print_exc()  # which does not cross to the other process
        return _portable(error)
    return None


def launch(launcher: Launcher, jobs: Sequence[Sequence[str]], first: int = 0) -> list[BaseException | None]:
    """Launch a job for each list of overrides; returns what each raised, once all have ended.

    Raises:
        KeyboardInterrupt: a signal stopped the jobs.
        CaptionerError: joblib has lost a process, or Slurm a job.
    """
    if "submitit" in type(launcher).__module__:
        try:
            with cancelling():
                return [job.return_value for job in launcher.launch(jobs, first)]
        except Exception as error:
            if type(error).__name__ == "UncompletedJobError":
                raise CaptionerError(f"hydra/launcher: {first_line(error)} {NO_RESULT}") from error
            raise
    if "joblib" not in type(launcher).__module__:
        return [job.return_value for job in launcher.launch(jobs, first)]
    settings: dict[str, Any] = launcher.joblib  # type: ignore[attr-defined]
    settings["n_jobs"] = _workers(settings["n_jobs"], len(jobs))
    with _passed_on() as received:
        try:
            returned = launcher.launch(jobs, first)
        except Exception as error:
            if received:
                raise KeyboardInterrupt from None
            if type(error).__name__ in ("TerminatedWorkerError", "BrokenProcessPool"):
                raise CaptionerError(f"hydra/launcher: {LOST}") from error
            raise
    errors = [job.return_value for job in returned]
    if received:
        *before, last = [e for e in errors if isinstance(e, KeyboardInterrupt)] or [KeyboardInterrupt()]
        for told in dict.fromkeys(str(e) for e in before if str(e) not in ("", str(last))):
            print(f"captioner: {told}", file=sys.stderr)
        raise last
    return errors


def launch_each(command: str, jobs: Sequence[Sequence[str]], work: Callable[[int], None]) -> None:
    """From within a command: launch ``work`` for every job's number, with the launcher of its configuration.

    Args:
        jobs: the overrides that each job adds to the command's, by which a launcher tells it.

    Raises:
        CaptionerError: a job failed, which does not end the others.
        KeyboardInterrupt: a signal stopped them.
    """
    app, given = GlobalHydra.instance().hydra, HydraConfig.get().overrides
    assert app is not None
    typed = [o for o in [*given.hydra, *given.task] if not o.startswith("hydra.mode=")]
    config = app.compose_config(command, typed, RunMode.MULTIRUN)
    parent, argv = os.getpid(), sys.argv

    def job(_: DictConfig) -> BaseException | None:
        return outcome(parent, argv, lambda: work(HydraConfig.get().job.num))

    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=app.config_loader, callbacks=Callbacks(config)),
        task_function=job,
        config=config,
    )
    raise_failures([""] * len(jobs), launch(launcher, [[*given.task, *added] for added in jobs]))


def raise_failures(names: Sequence[str], errors: Sequence[BaseException | None]) -> None:
    """Tell every job that failed by its name, and raise if one did.

    Raises:
        CaptionerError: a job failed as one may; what else it raised, as it is.
    """
    failed = [(name, error) for name, error in zip(names, errors) if error is not None]
    for _, error in failed:
        if not isinstance(error, CaptionerError):
            raise error
    if len(names) == 1 and failed:
        raise failed[0][1]
    lines = [f"{name}: {error}" if name else str(error) for name, error in failed]
    for line in lines[:-1]:
        print(f"captioner: {line}", file=sys.stderr)
    if lines:
        raise CaptionerError(lines[-1])


def _workers(n_jobs: int, jobs: int) -> int:
    """No more than there are jobs: joblib gives each worker the cores divided by the number of workers."""
    from joblib import effective_n_jobs

    return max(1, min(effective_n_jobs(n_jobs), jobs))


@contextmanager
def _passed_on() -> Iterator[list[int]]:
    """Within its block signals go to the child processes; gives those that have arrived."""
    received: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        for child in active_children():
            if child.pid is not None:
                os.kill(child.pid, number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _become_worker() -> None:
    """Take signals from the launching process alone, and end with it; once stopped, begin no other job."""
    if _received:
        raise KeyboardInterrupt
    if signal.getsignal(signal.SIGTERM) is _stop:
        return
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    for number in SIGNALS:
        signal.signal(number, _stop)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    """A signal outside a run's own handling: between jobs it is only remembered."""
    _received.append(number)
    while frame is not None:
        if frame.f_code is outcome.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)  # to save the run's state
    os._exit(128 + signal.SIGTERM)


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
