"""The configuration that a run was started with: read for the run itself, or to train its model further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from captioner.checkpoint.file import load_checkpoint
from captioner.checkpoint.pretrained import model_path
from captioner.config.declare import CONF
from captioner.config.places import absolute
from captioner.config.run_data import parsed
from captioner.config.saved import saved_config
from captioner.config.schema import TrainConfig
from captioner.config.starting import changed_by
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError
from captioner.training.run_folder import MODEL_FILE

MAY_CHANGE = ("training.", "run.", "data.")  # in a resumed run
HOLDOUT = 0.1  # of the images of a table without a validation split


def resumed_config(folder: Path, given: Sequence[str]) -> TrainConfig:
    """The run's own configuration, with this command line's overrides on top, a longer run for one.

    Its data may lie elsewhere or be in another form: whether it is the same is seen when it is read.
    """
    merged = saved_config(folder, "resume")
    free = ("training.", "run.") if OmegaConf.select(merged, "data.name") == "scenes" else MAY_CHANGE
    overrides = [o for o in given if not o.startswith("resume=")]
    for override in overrides:
        key = override.split("=", 1)[0]
        if not key.startswith(free) or key == "data.name":
            may = ", ".join(f"{group}*" for group in free)
            raise CaptionerError(f"resume: {override} would make it another run; only {may} may change")
    for key, value in parsed("train", overrides).items():
        OmegaConf.update(merged, key, value)
    config = from_plain(TrainConfig, OmegaConf.to_container(merged))
    start = None if config.init is None else model_path(config.init)
    if start is not None and (folder / MODEL_FILE).exists() and not start.is_file():
        config.init = str(folder)  # its own model has that vocabulary
    return absolute(config)


def started_config(config: TrainConfig, given: Sequence[str]) -> TrainConfig:
    """The configuration of a run that starts from ``init``, a run or a model file; without it, as it is.

    Raises:
        CaptionerError: it is neither, or an override cannot be had with it.
    """
    if config.init is None:
        return config
    start = model_path(config.init)
    return (continued_config if start.is_dir() else adapted_config)(config, start, given)


def continued_config(config: TrainConfig, folder: Path, given: Sequence[str]) -> TrainConfig:
    """Another run's configuration, with the phase's values and this command line's overrides on top."""
    present, merged = OmegaConf.structured(config), saved_config(folder, "init")
    phase = OmegaConf.create((files(CONF) / "phase" / f"{config.phase.name}.yaml").read_bytes().decode())
    assert isinstance(phase, DictConfig)
    keys = [f"{group}.{key}" for group in ("optimizer", "training") for key in phase.get(group, ())]
    for override in given:
        key = override.split("=", 1)[0].lstrip("+~")
        if key.split(".")[0] in ("experiment", "vocabulary"):
            raise CaptionerError(f"init: {override} cannot be changed, it is that of {folder}")
        keys.append(key)
    for key in ("phase", "init", "output", "resume", *keys):
        OmegaConf.update(merged, key, OmegaConf.select(present, key), merge=False)
    return from_plain(TrainConfig, OmegaConf.to_container(merged))


def adapted_config(config: TrainConfig, path: Path, given: Sequence[str]) -> TrainConfig:
    """This command line's configuration for a model file: its parts, and what suits a few hundred photos.

    The command line's overrides stay on top of the model's values and of those of
    ``experiment=own_photos``.

    Raises:
        CaptionerError: as :func:`captioner.checkpoint.file.load_checkpoint`.
    """
    composed = OmegaConf.structured(config)
    suggested = OmegaConf.create(OmegaConf.to_container(composed))
    model = load_checkpoint(path).config
    for group in ("encoder", "cell", "attention", "decoder"):
        OmegaConf.update(suggested, group, asdict(getattr(model, group)), merge=False)
    for key, value in changed_by("experiment", "own_photos").items():
        OmegaConf.update(suggested, key, value)
    if config.data.name == "table":
        OmegaConf.update(suggested, "data.val_share", HOLDOUT)
    for override in given:
        key = override.split("=", 1)[0].lstrip("+~")
        if "." in key and OmegaConf.select(composed, key) is not None:
            OmegaConf.update(suggested, key, OmegaConf.select(composed, key), merge=False)
    return from_plain(TrainConfig, OmegaConf.to_container(suggested))
