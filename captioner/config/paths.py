"""Paths among a command line's KEY=VALUE are taken as they stand, whatever Hydra's grammar says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from captioner.config.declare import declarations
from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE

C = TypeVar("C")
OWN = ("output", "resume")  # paths that a command writes to
SWEEPS = re.compile(r"[,(]")  # what several values have, in a multirun


@cache
def path_keys(command: str) -> frozenset[str]:
    """The keys of a command whose values are paths, such as ``data.root``; of all kinds of a group."""
    return frozenset(_path_keys(COMMANDS[command]))


def _path_keys(schema: type[Any]) -> Iterator[str]:
    yield from (of.name for of, declared in declarations(schema) if declared.path)
    types = get_type_hints(schema)
    for of in fields(schema):
        kinds = SCHEMAS[of.name].values() if of.name in SCHEMAS else [SINGLE.get(of.name, types[of.name])]
        for kind in kinds:
            if is_dataclass(kind):
                yield from (f"{of.name}.{key}" for key in _path_keys(kind))


def is_multirun(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for several runs, in any of the forms that Hydra's parser takes."""
    return any(re.fullmatch("-m|--m[a-z]*", argument) for argument in arguments)


def as_they_stand(command: str, arguments: Sequence[str]) -> list[str]:
    """A command's arguments, with the paths among them quoted for Hydra's grammar.

    A value that Hydra takes for itself, or that is quoted already, stays as it is, and so do ``null``, and
    ``A,B`` of a multirun. Each path of a list ``[A,B]`` is quoted by itself.
    """
    several = is_multirun(arguments)
    plain = []
    for argument in arguments:
        key, equals, typed = argument.partition("=")
        if equals and key.lstrip("+") in path_keys(command) and not (several and SWEEPS.search(typed)):
            argument = f"{key}={_quoted(typed)}"
        plain.append(argument)
    return plain


def at_home(config: C) -> C:
    """A command's configuration with ``~`` in the folders that it writes to as the user's home."""
    for key in OWN:
        if (path := getattr(config, key, None)) is not None:
            setattr(config, key, os.path.expanduser(path))
    return config


def _quoted(typed: str) -> str:
    if typed in ("", "null") or re.fullmatch("'.*'|\".*\"", typed, re.DOTALL) or _means_itself(typed):
        return typed
    if re.fullmatch(r"\[[^'\"]*\]", typed) and not os.path.lexists(os.path.expanduser(typed)):
        return f"[{','.join(_quoted(path.strip()) for path in typed[1:-1].split(','))}]"
    return quoted(typed)


def quoted(text: str) -> str:
    """Text in Hydra's grammar, in which nothing of it means anything."""
    # backslashes count as escapes before a quote alone
    escaped = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{escaped}'"


def _means_itself(typed: str) -> bool:
    try:
        parsed = OverridesParser.create().parse_override(f"path={typed}")
        return not parsed.is_sweep_override() and bool(parsed.value() == typed)
    except HydraException:
        return False
