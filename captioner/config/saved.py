"""The configuration that a run folder keeps, read as untrusted: plain values, and within bounds."""

from __future__ import annotations

from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from captioner.config.schema import TrainConfig
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError, first_line

CONFIG_FILE = "config.yaml"
LARGEST_CONFIG, DEEPEST_CONFIG = 100_000, 20  # bytes; levels


def saved_config(folder: Path, key: str) -> DictConfig:
    """The configuration that a run was started with.

    Args:
        key: what errors name, the key whose value the folder is.

    Raises:
        CaptionerError: the folder has none, or what it has is not one.
    """
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
        raise CaptionerError(f"{key}: {path}: {first_line(error)}") from error
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
