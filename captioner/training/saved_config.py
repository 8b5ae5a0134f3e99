"""The configuration that a run was started with: read for the run itself, or to train its model further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from captioner.checkpoint.file import load_checkpoint
from captioner.checkpoint.pretrained import model_path
from captioner.config.declare import CONF
from captioner.config.schema import TrainConfig
from captioner.config.starting import changed_by
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError
from captioner.training.run_folder import CONFIG_FILE, MODEL_FILE

HOLDOUT = 0.1  # of the images of a table without a validation split
LARGEST_CONFIG, DEEPEST_CONFIG = 100_000, 20  # bytes; levels


def resumed_config(folder: Path, given: Sequence[str]) -> TrainConfig:
    """The run's own configuration, with this command line's overrides on top, a longer run for one."""
    saved = _saved(folder, "resume")
    overrides = [o for o in given if not o.startswith("resume=")]
    for override in overrides:
        key = override.split("=", 1)[0]
        if not key.startswith(("training.", "run.")):
            raise CaptionerError(
                f"resume: {override} would make it another run; only training.* and run.* may change"
            )
    merged = OmegaConf.merge(saved)
    for parsed in OverridesParser.create().parse_overrides(overrides):
        OmegaConf.update(merged, parsed.key_or_group, parsed.value())
    config = from_plain(TrainConfig, OmegaConf.to_container(merged))
    start = None if config.init is None else model_path(config.init)
    if start is not None and (folder / MODEL_FILE).exists() and not start.is_file():
        config.init = str(folder)  # its own model has that vocabulary
    return config


def continued_config(config: TrainConfig, folder: Path, given: Sequence[str]) -> TrainConfig:
    """Another run's configuration, with the phase's values and this command line's overrides on top."""
    present, merged = OmegaConf.structured(config), _saved(folder, "init")
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
        OmegaConf.update(suggested, "data.holdout", HOLDOUT)
    for override in given:
        key = override.split("=", 1)[0].lstrip("+~")
        if "." in key and OmegaConf.select(composed, key) is not None:
            OmegaConf.update(suggested, key, OmegaConf.select(composed, key), merge=False)
    return from_plain(TrainConfig, OmegaConf.to_container(suggested))


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
