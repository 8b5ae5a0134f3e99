"""What a run folder holds, written so that a run killed at any point resumes from it consistently.

``resume.pt`` is the run's memory: what is not in it has not happened. The model file, the metrics and
TensorBoard's events follow from it, are written after it, and again when the run resumes.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import OmegaConf

from captioner.checkpoint.file import Checkpoint, save_checkpoint
from captioner.checkpoint.pretrained import MODEL_FILE
from captioner.config.saved import CONFIG_FILE
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError, first_line
from captioner.system.atomic_files import make_folder, remove_unfinished, write_whole
from captioner.system.locks import owned
from captioner.training.progress import CLOCK, Progress, repeatable
from captioner.training.state import TrainingState, snapshot

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RESUME_FILE = "resume.pt"
METRICS_FILE = "metrics.jsonl"  # the same to the byte for every run of the same seed
TIMINGS_FILE = "timings.jsonl"
FILES = (CONFIG_FILE, RESUME_FILE, MODEL_FILE, METRICS_FILE, TIMINGS_FILE)


@contextmanager
def run_folder(path: Path) -> Iterator[None]:
    """The folder, made if need be, for one process alone; what a killed one left unfinished is removed.

    Raises:
        CaptionerError: it cannot be made or written to, or another process trains in it.
    """
    make_folder(path, "output")
    with owned(path) as mine:
        if not mine:
            raise CaptionerError(f"output: another process is training in {path}")
        remove_unfinished(path, FILES)
        yield


def write_config(config: TrainConfig, folder: Path, mark: str = "") -> None:
    """Write the run's configuration, which resuming reads, below a line that says who began it."""
    write_whole(folder / CONFIG_FILE, mark + OmegaConf.to_yaml(OmegaConf.structured(config)))


def begun_by(folder: Path, mark: str) -> bool:
    """Whether the folder's run has this mark, which is not empty."""
    return bool(mark) and mark_in(folder) == mark


def mark_in(folder: Path) -> str:
    """The mark of who began the folder's run, if :func:`write_config` was given one, or another line."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(200)


def files_of_run(folder: Path) -> list[Path]:
    """The files of the folder's run that are there, TensorBoard's events included."""
    files = [*(folder / name for name in FILES), *folder.glob("events.out.tfevents.*")]
    return [path for path in files if os.path.lexists(path)]


def remove_run(folder: Path, but: Collection[Path] = ()) -> None:
    """Remove the files of the folder's run, but for some."""
    for path in files_of_run(folder):
        if path not in but:
            path.unlink(missing_ok=True)


def begun(folder: Path) -> bool:
    """Whether there is a state to resume; a run killed before its first save starts over."""
    return (folder / RESUME_FILE).exists() or (folder / MODEL_FILE).exists()


@contextmanager
def tensorboard(folder: Path, progress: Progress) -> Iterator[SummaryWriter]:
    """A writer of TensorBoard events, which takes back those of epochs that the resume state does not know.

    Raises:
        CaptionerError: they cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    report = threading.excepthook

    def report_others(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.exc_value, OSError):  # the writer's thread hands it on to us
            report(failure)

    threading.excepthook = report_others
    try:
        # the last epoch's are taken back too, as publish writes them once more
        with SummaryWriter(str(folder), purge_step=max(1, progress.epoch)) as writer:
            yield writer
    except BrokenPipeError:  # of standard output
        raise
    except OSError as error:
        reason = error.strerror or error
        raise CaptionerError(f"output: cannot write TensorBoard's events to {folder} ({reason})") from error
    finally:
        threading.excepthook = report


def save_resume_state(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values, whole or not at all."""
    buffer = io.BytesIO()  # torch.save itself does not tell why a file could not be written
    torch.save(state, buffer)
    write_whole(path, buffer.getbuffer())


def load_resume_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_resume_state` wrote; the file cannot run code.

    Raises:
        CaptionerError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise CaptionerError(f"resume: {path.parent} holds no {path.name}, so there is nothing to resume")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CaptionerError(f"resume: {path} is damaged ({first_line(error)})") from error


class Saver:
    """Saves the resume state on request, and every so many minutes.

    Args:
        minutes: 0: only on request.
    """

    def __init__(self, state: TrainingState, folder: Path, minutes: float) -> None:
        self.state, self.path, self.minutes = state, folder / RESUME_FILE, minutes
        self.last = time.monotonic()

    def save(self) -> None:
        state = snapshot(self.state)  # on every rank, so that all know of a step that was not finite
        if self.state.ranks.first:  # the others have the same to save
            save_resume_state(state, self.path)
        self.last = time.monotonic()

    def save_if_due(self) -> None:
        if self.minutes and time.monotonic() - self.last >= 60 * self.minutes:
            self.save()


def publish(checkpoint: Checkpoint, state: TrainingState, folder: Path, writer: SummaryWriter | None) -> None:
    """Write all that follows from the resume state after an epoch; writing it again changes nothing.

    Args:
        checkpoint: the present model, which is kept if the last epoch was the best.
        writer: from :func:`tensorboard`; None: the folder is another rank's.
    """
    if writer is None:
        return
    progress = state.progress
    if progress.has_best_weights:
        save_checkpoint(checkpoint, folder / MODEL_FILE)
    kept = [repeatable(metrics) for metrics in progress.metrics]
    timings = [
        {name: metrics[name] for name in ("epoch", *CLOCK) if name in metrics} for metrics in progress.metrics
    ]
    for name, entries in ((METRICS_FILE, kept), (TIMINGS_FILE, timings)):
        write_whole(folder / name, "".join(json.dumps(entry) + "\n" for entry in entries))
    for name, value in progress.metrics[-1].items() if progress.metrics else ():
        writer.add_scalar(name, value, progress.epoch)
    writer.flush()
