"""How a run begins in its folder: nothing stays of one that fails before it has anything to resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from captioner.config.schema import TrainConfig
from captioner.system.signals import Stopped
from captioner.training.run_folder import begun, files_of_run, remove_run, write_config


class StoppedEarly(Stopped):
    """A signal has arrived while the folder still holds the earlier run."""


@contextmanager
def beginning(folder: Path, config: TrainConfig, mark: str = "") -> Iterator[Callable[[], None]]:
    """Write a new run's configuration, by which it resumes where it is stopped or killed.

    An earlier run that ``overwrite`` replaces stays until the new one is ready to train.

    Args:
        mark: as of :func:`captioner.training.run_folder.write_config`.

    Yields:
        What to call then.

    Raises:
        StoppedEarly: a signal has arrived before that.
    """
    replaces = config.overwrite and bool(files_of_run(folder))
    others: set[Path] | None = None  # what the folder holds beside the run; None: the run has nothing there

    def write() -> None:
        nonlocal others
        if config.overwrite:
            remove_run(folder)
        others = set(folder.iterdir())
        write_config(config, folder, mark)

    def ready() -> None:
        if replaces:
            write()

    try:
        if not replaces:
            write()
        yield ready
    except Stopped as stopped:
        if others is None:
            told = f"stopped before training began; {folder} still holds the earlier run"
            raise StoppedEarly(stopped.number, told) from None
        raise
    except Exception:
        if others is not None and not begun(folder):
            remove_run(folder, others)
        raise
