"""Command line flags of a declared dataclass: ``--beam-size N`` for ``beam_size``."""

from __future__ import annotations

import argparse
from dataclasses import MISSING
from typing import Any, TypeVar

from captioner.config.declare import as_typed, declarations

C = TypeVar("C")


def add_flags(parser: argparse._ActionsContainer, schema: type[Any]) -> None:
    """A flag for every declared field, with its meaning, what it may be and its default."""
    for of, declared in declarations(schema):
        assert of.default is not MISSING
        values = f" ({declared.limits})" if declared.limits and not declared.choices else ""
        settings: dict[str, Any] = {"default": of.default, "dest": of.name}
        settings["help"] = f"{declared.meaning}{values} (default: {as_typed(of.default)})".replace("%", "%%")
        if isinstance(of.default, bool):
            settings["action"] = argparse.BooleanOptionalAction
        else:
            settings |= {"type": type(of.default), "choices": declared.choices or None}
            if not declared.choices:
                settings["metavar"] = "X" if isinstance(of.default, float) else "N"
        parser.add_argument(flag(of.name), **settings)


def from_flags(schema: type[C], arguments: argparse.Namespace) -> C:
    """The dataclass that the flags ask for.

    Raises:
        CaptionerError: a value is out of range; it names the flag.
    """
    values = {}
    for of, declared in declarations(schema):
        values[of.name] = getattr(arguments, of.name)
        declared.check(values[of.name], flag(of.name))
    return schema(**values)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")
