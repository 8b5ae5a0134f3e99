"""What a command starts from before anything is typed: the choices and the values that ``conf/`` changes.

Reads the YAML files themselves, so that ``--help`` need not wait for Hydra; they use Hydra's default lists in
their plainest form only, and a test compares what is found here with what Hydra composes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml

from captioner.config.declare import CONF

GLOBAL = "# @package _global_"  # the first line of a file whose values are not of its group alone


@dataclass
class Start:
    """Choices by group, and changed values by dotted key."""

    chosen: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def start_of(command: str) -> Start:
    """What ``captioner COMMAND`` starts from."""
    start = Start()
    _choose(start, command)
    for group, name in list(start.chosen.items()):
        if group != "experiment" and name is not None:
            start.values |= changed_by(group, name)
    _overlay(start, "", command)
    return start


def changed_by(group: str, name: str) -> dict[str, Any]:
    """What a choice changes, by key, as its file in ``conf/`` says: choices of other groups, and values."""
    content, is_global = _read(f"{group}/{name}")
    changed: dict[str, Any] = {}
    for item in content.get("defaults", ()):
        if isinstance(item, dict):
            changed |= {key.removeprefix("override /"): choice for key, choice in item.items()}
        elif item[0] not in "/_":
            changed[group] = item
    return changed | dict(_flat(content, "" if is_global else f"{group}."))


def _choose(start: Start, command: str) -> None:
    for item in _read(command)[0]["defaults"]:
        if isinstance(item, dict):
            start.chosen |= {key.removeprefix("override "): name for key, name in item.items()}
        elif item[0] not in "/_":
            _choose(start, item)
    start.chosen.pop("hydra/job_logging", None)


def _overlay(start: Start, group: str, name: str) -> None:
    """Put a file's values over those of the files that it names, in Hydra's order: its own come last."""
    content, _ = _read(f"{group}/{name}" if group else name)
    for item in content.get("defaults", ()):
        if isinstance(item, str) and item[0] not in "/_":
            _overlay(start, group, item)
    if not group and start.chosen.get("experiment"):
        _overlay(start, "experiment", start.chosen["experiment"])
    start.values |= dict(_flat(content, ""))


def _read(path: str) -> tuple[dict[str, Any], bool]:
    text = (files(CONF) / f"{path}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text) or {}, text.startswith(GLOBAL)


def _flat(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, item in content.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key}.")
        elif key not in ("defaults", "name"):
            yield f"{prefix}{key}", item
