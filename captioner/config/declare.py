"""A value of the configuration, declared once: its default, its meaning, and what it may be.

A dataclass field made by :func:`value` carries its declaration. The check of a composed configuration, the
flags of the command line, the web form, ``--help`` and docs/configuration.md are all read from it.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass
from functools import cache
from importlib.resources import files
from math import inf
from typing import Any

from captioner.errors import CaptionerError, check_choice, check_range

REQUIRED = "???"  # omegaconf's mark for a value that the user must give
LARGEST_SEED = 2**63 - 1  # that torch takes
CONF = "captioner.conf"


@dataclass(frozen=True)
class Declaration:
    """What a value means and what it may be.

    Attributes:
        meaning: one line.
        low, high: inclusive bounds of a number, or of each number of a list.
        below: exclusive upper bound.
        among: the choices, or a function that gives them; empty if any value will do.
        group: the choices are the files of this folder of ``conf/``.
        length: how many values a list holds; None: any number.
        path: it names a file or a folder, and is taken as it stands on the command line.
        trains: of a model's option, it matters to training alone; what given weights compute is the same.
    """

    meaning: str
    low: float = -inf
    high: float = inf
    below: float = inf
    among: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    group: str = ""
    length: int | None = None
    path: bool = False
    trains: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """What the value may be, as written; empty if that is not a list of names."""
        if self.group:
            return choices_of(self.group)
        return self.among() if callable(self.among) else self.among

    @property
    def limits(self) -> str:
        """What the value may be, in words; empty if its type says it all."""
        if self.choices:
            return ", ".join(self.choices)
        if self.low == -inf:
            return ""
        if self.below < inf:
            return f"{self.low:.9g} to below {self.below:.9g}"
        if self.high < LARGEST_SEED:
            return f"{self.low:.9g} to {self.high:.9g}"
        return f"at least {self.low:.9g}"

    def check(self, value: Any, key: str) -> None:
        """Refuse a value of the right type that means nothing; null is never refused.

        Raises:
            CaptionerError: names the key, the value and what it may be.
        """
        if value is None:
            return
        values = value if isinstance(value, list) else [value]
        if self.length is not None and len(values) != self.length:
            raise CaptionerError(f"{key}: {reprlib.repr(values)} has {len(values)} values, not {self.length}")
        for item in values:
            if self.choices and item != REQUIRED:
                check_choice(item, self.choices, key)
            elif isinstance(item, int | float) and not isinstance(item, bool):
                check_range(item, key, self.low, self.high, self.below)


@cache
def choices_of(group: str) -> tuple[str, ...]:
    """The files of a folder of ``conf/``, which are the choices of a group."""
    names = (file.name for file in (files(CONF) / group).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def value(default: Any, meaning: str, **bounds: Any) -> Any:
    """A dataclass field with its declaration; ``bounds`` are further attributes of :class:`Declaration`."""
    metadata = {"declaration": Declaration(meaning, **bounds)}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def as_typed(item: Any) -> str:
    """A value as it is typed on a command line."""
    return item if isinstance(item, str) else json.dumps(item)


def declaration_of(of: Field[Any]) -> Declaration | None:
    """The declaration of a field; None for a group of keys."""
    found: Declaration | None = of.metadata.get("declaration")
    return found


def declarations(schema: type[Any]) -> Iterator[tuple[Field[Any], Declaration]]:
    """The declared fields of a dataclass, in their order."""
    for of in fields(schema):
        if (declared := declaration_of(of)) is not None:
            yield of, declared


def check(config: Any, place: str = "") -> None:
    """Refuse a configuration that holds a value which means nothing, before anything is done with it.

    Args:
        config: an instance of a declared dataclass; groups of keys within it are checked too.
        place: what errors call it, such as ``search``.

    Raises:
        CaptionerError: names the key, the value and what it may be.
    """
    for of in fields(config):
        key, item = f"{place}.{of.name}" if place else of.name, getattr(config, of.name)
        if is_dataclass(item):
            check(item, key)
        elif (declared := declaration_of(of)) is not None:
            declared.check(item, key)
