"""``captioner train [KEY=VALUE ...]``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from captioner.composition import run_command
from captioner.config import TrainConfig
from captioner.errors import CaptionerError
from captioner.hardware import keep_memory
from captioner.plain import from_plain
from captioner.training import CONFIG_FILE, RESUME_FILE, train


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration and train, once or for every combination of a multirun."""
    keep_memory()
    run_command("train", _train, arguments, "captioner train")
    return 0


def _train(config: TrainConfig) -> None:
    if config.resume is not None:
        folder = Path(config.resume)
        model = train(_resumed(folder), folder, resume=True)
    else:
        folder = _run_folder(config)
        if (folder / RESUME_FILE).exists():
            raise CaptionerError(
                f"output: {folder} already holds a run; go on with resume={folder} or choose another"
            )
        model = train(config, folder)
    print(f"model: {model}")


def _resumed(folder: Path) -> TrainConfig:
    """The run's own configuration, with this command line's overrides on top, a longer run for one."""
    if not (folder / CONFIG_FILE).is_file():
        raise CaptionerError(f"resume: {folder} holds no {CONFIG_FILE}, so it is not a run folder")
    saved = OmegaConf.load(folder / CONFIG_FILE)
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    for override in overrides:
        key = override.split("=", 1)[0]
        if not key.startswith(("training.", "run.")):
            raise CaptionerError(
                f"resume: {override} would make it another run; only training.* and run.* may change"
            )
    merged = OmegaConf.merge(saved, OmegaConf.from_dotlist(overrides))
    plain = OmegaConf.to_container(merged)
    assert isinstance(plain, dict)
    return from_plain(TrainConfig, {str(k): v for k, v in plain.items()}, str(folder / CONFIG_FILE))


def _run_folder(config: TrainConfig) -> Path:
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        return Path(config.output or f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    # a folder a job, named by what was overridden; paths make no good names
    name = ",".join(o for o in settings.overrides.task if "/" not in o and len(o) < 60)
    return Path(settings.sweep.dir) / (name or str(settings.job.num))
