"""``captioner train [KEY=VALUE ...]``."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from captioner.config.compose import OVERRIDE, run_command
from captioner.config.paths import as_they_stand, is_multirun
from captioner.config.places import absolute
from captioner.config.run_data import folder_to_resume
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.system.atomic_files import make_own_folder, missing_folders, removed_if_empty
from captioner.system.outputs import refuse_existing, refuse_input
from captioner.system.signals import Stopped

if TYPE_CHECKING:
    from captioner.training.launched import Job
    from captioner.training.ranks import Ranks


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration and train, once or for every combination of a multirun."""
    folder = folder_to_resume(arguments)
    if folder is not None:
        from captioner.training.saved_config import resumed_config

        given = as_they_stand("train", arguments)
        ranks, job = _started_by(given, named=True)
        _train_in(folder, resumed_config(folder, given), True, ranks, job)
        return 0
    if os.environ.get("RANK") and is_multirun(arguments):  # once, rather than for every run
        _started_by(arguments, named=True, multirun=True)
    run_command("train", TrainConfig, _train, arguments)
    return 0


def _train(config: TrainConfig) -> None:
    # not before the configuration is known to be right: torch alone takes seconds
    from captioner.checkpoint.pretrained import model_path
    from captioner.training.saved_config import resumed_config, started_config

    given, named = HydraConfig.get().overrides.task, _is_named(config)
    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    ranks, job = _started_by(given, named or config.resume is not None, multirun)
    folder = Path(config.resume) if config.resume is not None else _run_folder(config)
    restarted = config.resume is None and job.began(folder, ranks.first)
    resume = restarted or config.resume is not None
    if resume:
        config = resumed_config(folder, [] if restarted else given)
    elif named and ranks.first:
        _check_output(folder, config.overwrite)
    if not resume and config.init is not None:
        start = model_path(config.init)
        refuse_input(folder, [start, start.parent], "output")
        config = started_config(config, given)
    made = missing_folders(folder)
    if not resume and not named and ranks.first:
        folder = make_own_folder(folder, "output")  # another run may have begun in the same second
        made.insert(0, folder)
    with removed_if_empty(made):
        _train_in(folder, config if resume else absolute(config), resume, ranks, job)


def _started_by(given: Sequence[str], named: bool, multirun: bool = False) -> tuple[Ranks, Job]:
    """This process among those of its launcher, and their job; for the arguments see ``check_launched``."""
    from captioner.training.launched import Job, check_launched, launched

    ranks, job = launched(), Job(given)
    check_launched(ranks, job, multirun, named)
    return ranks, job


def _train_in(folder: Path, config: TrainConfig, resume: bool, ranks: Ranks, job: Job) -> None:
    """Train in a run folder, and tell how to go on where a signal stops it."""
    from captioner.system.device import keep_memory
    from captioner.training.beginning import StoppedEarly
    from captioner.training.loop import train
    from captioner.training.run_folder import MODEL_FILE

    keep_memory()
    try:
        train(config, folder, resume, ranks=ranks, mark=job.mark)
    except Stopped as stopped:
        if not ranks.first:
            sys.exit(stopped.status)
        if isinstance(stopped, StoppedEarly):
            raise
        resumed = shlex.quote(f"resume={folder}")
        raise Stopped(stopped.number, f"stopped; resume with: captioner train {resumed}") from None
    if ranks.first:
        print(f"model: {folder / MODEL_FILE}")


def _check_output(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds files that a run would write over."""
    from captioner.training.run_folder import FILES, RESUME_FILE

    if (folder / RESUME_FILE).exists() and not overwrite:
        raise CaptionerError(
            f"output: {folder} already holds a run; resume it with {shlex.quote(f'resume={folder}')}, choose "
            "another folder, or replace it with overwrite=true"
        )
    files = [folder / name for name in FILES]
    refuse_existing(files, "output", overwrite, "overwrite=true")


def _is_named(config: TrainConfig) -> bool:
    """Whether the user chose the run folder, rather than the time."""
    given = HydraConfig.get().overrides.hydra
    return config.output is not None or any("hydra.sweep.dir=" in override for override in given)


def _run_folder(config: TrainConfig) -> Path:
    """``output``, or a folder named by the time; in a multirun one below that for each job."""
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        return Path(config.output or f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    # what the command line gives one value alone is the same in every run
    typed = OverridesParser.create().parse_overrides(list(filter(OVERRIDE.match, sys.argv)))
    same = {override.get_key_element() for override in typed if not override.is_sweep_override()}
    parts = [override.partition("=") for override in settings.overrides.task]
    values = [re.sub(r"[^\w.-]+", "-", value)[-30:] for key, _, value in parts if value and key not in same]
    return Path(config.output or settings.sweep.dir) / "_".join([str(settings.job.num), *values])
