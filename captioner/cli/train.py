"""``captioner train [KEY=VALUE ...]``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from captioner.composition import run_command
from captioner.config import TrainConfig
from captioner.errors import CaptionerError
from captioner.hardware import keep_memory
from captioner.plain import from_plain
from captioner.stopping import Stopped
from captioner.training.loop import train
from captioner.training.run_folder import CONFIG_FILE, MODEL_FILE, RESUME_FILE

LARGEST_CONFIG, DEEPEST_CONFIG = 100_000, 20  # bytes; levels


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration and train, once or for every combination of a multirun."""
    keep_memory()
    run_command("train", TrainConfig, _train, arguments)
    return 0


def _train(config: TrainConfig) -> None:
    resume = config.resume is not None
    folder = Path(config.resume) if config.resume is not None else _run_folder(config)
    if resume:
        config = _resumed(folder)
    elif (folder / RESUME_FILE).exists():
        raise CaptionerError(
            f"output: {folder} already holds a run; go on with resume={folder} or choose another"
        )
    elif config.init is not None:
        config = _continued(config, Path(config.init))
    try:
        train(config, folder, resume)
    except Stopped as stopped:
        raise Stopped(stopped.number, f"stopped; go on with: captioner train resume={folder}") from None
    print(f"model: {folder / MODEL_FILE}")


def _resumed(folder: Path) -> TrainConfig:
    """The run's own configuration, with this command line's overrides on top, a longer run for one."""
    saved = _saved(folder, "resume")
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    for override in overrides:
        key = override.split("=", 1)[0]
        if not key.startswith(("training.", "run.")):
            raise CaptionerError(
                f"resume: {override} would make it another run; only training.* and run.* may change"
            )
    merged = OmegaConf.merge(saved, OmegaConf.from_dotlist(overrides))
    config = from_plain(TrainConfig, OmegaConf.to_container(merged))
    if config.init is not None and (folder / MODEL_FILE).exists():
        config.init = str(folder)  # its own model has that vocabulary
    return config


def _continued(config: TrainConfig, folder: Path) -> TrainConfig:
    """Another run's configuration, with the phase's values and this command line's overrides on top."""
    given, merged = OmegaConf.structured(config), _saved(folder, "init")
    phase = OmegaConf.create(
        (files("captioner.conf") / "phase" / f"{config.phase.name}.yaml").read_bytes().decode()
    )
    assert isinstance(phase, DictConfig)
    keys = [f"{group}.{key}" for group in ("optimizer", "training") for key in phase.get(group, ())]
    for override in HydraConfig.get().overrides.task:
        key = override.split("=", 1)[0].lstrip("+~")
        if key.split(".")[0] in ("experiment", "vocabulary"):
            raise CaptionerError(f"init: {override} cannot be changed, it is that of {folder}")
        keys.append(key)
    for key in ("phase", "init", "output", "resume", *keys):
        OmegaConf.update(merged, key, OmegaConf.select(given, key), merge=False)
    return from_plain(TrainConfig, OmegaConf.to_container(merged))


def _saved(folder: Path, key: str) -> DictConfig:
    """The configuration that a run was started with."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CaptionerError(f"{key}: {folder} holds no {CONFIG_FILE}, so it is not a run folder")
    try:
        _check_plain(path)
        saved = OmegaConf.load(path)
        from_plain(TrainConfig, OmegaConf.to_container(saved))
    except (
        CaptionerError,
        OmegaConfBaseException,
        yaml.YAMLError,
        OSError,
        ValueError,
        RecursionError,
    ) as error:
        raise CaptionerError(f"{key}: {path}: {str(error).splitlines()[0]}") from error
    assert isinstance(saved, DictConfig)
    return saved


def _check_plain(path: Path) -> None:
    """Refuse a YAML file that would take its reader for ever: aliases stand for copies of copies."""
    if path.stat().st_size > LARGEST_CONFIG:
        raise ValueError(f"it is larger than {LARGEST_CONFIG:,} bytes")
    depth = 0
    for event in yaml.parse(path.read_text(encoding="utf-8"), yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_CONFIG or isinstance(event, yaml.AliasEvent):
            raise ValueError("it has aliases, or is nested too deeply")


def _run_folder(config: TrainConfig) -> Path:
    """``output``, or a folder named by the time; in a multirun one below that for each job."""
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        return Path(config.output or f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    # overrides that do not stand on the command line as they are come of a sweep
    swept = [o.split("=", 1)[1] for o in settings.overrides.task if o not in sys.argv]
    values = [re.sub(r"[^\w.-]+", "-", value)[-30:] for value in swept]
    return Path(config.output or settings.sweep.dir) / "_".join([str(settings.job.num), *values])
