"""What a request may ask of the search: the declared options, some within narrower limits.

The form of the page, the parser of ``POST /caption`` and its OpenAPI description are read from here.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from captioner.config.declare import Declaration, declarations
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError, check_choice

MOST = {  # so that no request keeps the model from the others for long
    "beam_size": 20,
    "max_length": 100,
    "length_normalization": 2,
    "block_ngrams": 10,
    "seed": 2**31 - 1,  # a number that JavaScript can hold
}
PICTURES = "pictures"  # beside them: whether the photo comes back as it was shown to the model
YES_OR_NO = {"true": True, "1": True, "false": False, "0": False}


class Option(NamedTuple):
    """A field of :class:`SearchConfig` as one request may set it."""

    name: str
    default: Any
    declared: Declaration

    def read(self, text: str) -> Any:
        """The value that a text stands for.

        Raises:
            CaptionerError: it is of another type, or not a value that the option may have.
        """
        kind = type(self.default)
        try:
            value = YES_OR_NO[text] if kind is bool else kind(text)
        except (ValueError, KeyError):
            named = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
            raise CaptionerError(f"{self.name}: {reprlib.repr(text)} is not {named}") from None
        self.declared.check(value, self.name)
        return value

    def schema(self) -> dict[str, Any]:
        """As JSON Schema, in which OpenAPI describes it."""
        described = {"default": self.default, "description": self.declared.meaning}
        if self.declared.choices:
            return {"type": "string", "enum": list(self.declared.choices), **described}
        if isinstance(self.default, bool):
            return {"type": "boolean", **described}
        kind = "integer" if isinstance(self.default, int) else "number"
        return {"type": kind, "minimum": self.declared.low, "maximum": self.declared.high, **described}


def _option(name: str, default: Any, declared: Declaration) -> Option:
    return Option(name, default, replace(declared, high=min(declared.high, MOST.get(name, declared.high))))


OPTIONS = tuple(_option(of.name, of.default, declared) for of, declared in declarations(SearchConfig))


def read_options(values: Mapping[str, str]) -> tuple[SearchConfig, bool]:
    """The requested search, and whether pictures are requested too.

    Raises:
        CaptionerError: names the option, its value and what it may be.
    """
    table = {option.name: option for option in OPTIONS}
    for name in values:
        check_choice(name, [*table, PICTURES], "options")
    chosen = {name: table[name].read(text) for name, text in values.items() if name in table}
    pictures = values.get(PICTURES, "false")
    check_choice(pictures, YES_OR_NO, PICTURES)
    return SearchConfig(**chosen), YES_OR_NO[pictures]
