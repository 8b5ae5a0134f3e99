"""Overrides of a command line that are about a run, judged against the configuration which that run has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from captioner.config.paths import as_they_stand, is_multirun, quoted
from captioner.config.saved import CONFIG_FILE, saved_config
from captioner.errors import CaptionerError


def folder_to_resume(arguments: Sequence[str]) -> Path | None:
    """The run folder that a command line resumes; None where Hydra is to find that out, as with ``-m``."""
    if any(argument.startswith(("-", "hydra")) for argument in arguments):
        return None
    folder = _path("train", "resume", arguments)
    return None if folder is None else Path(folder)


def with_data_of_run(command: str, arguments: Sequence[str]) -> list[str]:
    """Arguments of a command, preceded by the data of the run whose model is its ``checkpoint``.

    A model file in a folder without a run's configuration, several models, and data that is named by its
    format stay as they are.
    """
    given = [argument.partition("=")[0] for argument in arguments]
    path = _path(command, "checkpoint", arguments)
    if path is None or "data" in given:
        return list(arguments)
    folder = Path(path) if os.path.isdir(path) else Path(path).parent
    if not (folder / CONFIG_FILE).is_file():
        return list(arguments)
    try:
        values = OmegaConf.to_container(saved_config(folder, "checkpoint"))
    except CaptionerError:  # another program's, or damaged: the model file alone is needed
        return list(arguments)
    assert isinstance(values, dict)
    data = values["data"]
    added = [f"data.{key}={_typed(value)}" for key, value in data.items() if key != "name"]
    added = [override for override in added if override.partition("=")[0] not in given]
    return [f"data={data['name']}", *added, *arguments]


def parsed(command: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The values of plain overrides, by key, in their order.

    Raises:
        CaptionerError: one is not of the form KEY=VALUE, or names several values.
    """
    values: dict[str, Any] = {}
    for argument, plain in zip(arguments, as_they_stand(command, arguments)):
        try:
            override = OverridesParser.create().parse_override(plain)
        except HydraException as error:
            raise CaptionerError(f"{argument}: {' '.join(str(error).split())}") from error
        if override.is_sweep_override():
            raise CaptionerError(f"{argument}: several values need -m")
        values[override.get_key_element()] = override.value()
    return values


def _path(command: str, key: str, arguments: Sequence[str]) -> str | None:
    """The path that a key is given, the last one; None if there is none, or there are several at once."""
    typed = [argument for argument in arguments if argument.startswith(f"{key}=")][-1:]
    if not typed or (is_multirun(arguments) and ("," in typed[0] or "(" in typed[0])):
        return None
    value = parsed(command, typed)[key]
    return os.path.expanduser(value) if isinstance(value, str) and value else None


def _typed(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
