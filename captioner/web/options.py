"""What may be asked of ``POST /caption``: one table for its parser, its description and the page's form."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import NamedTuple

from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError, check_choice, check_range
from captioner.predictor import search_options

DEFAULTS = SearchConfig()


class Option(NamedTuple):
    """A field of :class:`SearchConfig`, with the values that one request may choose.

    They are bounded, so that no request keeps the model from the others for long.
    """

    name: str
    low: float
    high: float
    label: str
    meaning: str

    @property
    def default(self) -> float:
        value: float = getattr(DEFAULTS, self.name)
        return value

    @property
    def whole(self) -> bool:
        return isinstance(self.default, int)

    def read(self, text: str) -> float:
        """The value that a text stands for.

        Raises:
            CaptionerError: it is no number, or out of range.
        """
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            kind = "whole number" if self.whole else "number"
            raise CaptionerError(f"{self.name}: {reprlib.repr(text)} is not a {kind}") from None
        check_range(value, self.name, self.low, self.high)
        return value


OPTIONS = (
    Option("beam_size", 1, 20, "Beam size", "hypotheses that the search follows; 1 is greedy"),
    Option("max_length", 1, 100, "Longest caption", "words at most"),
    Option(
        "length_normalization",
        0,
        2,
        "Length normalization",
        "captions are ranked by log_prob / words ** this: 0 prefers short ones",
    ),
    Option(
        "block_ngrams", 0, 10, "Blocked repeats", "no sequence of this many words comes twice; 0 allows all"
    ),
)
PICTURES = "pictures"  # beside them, whether the photo comes back as it was shown to the model
YES_OR_NO = {"true": True, "1": True, "false": False, "0": False}


def read_options(values: Mapping[str, str]) -> tuple[SearchConfig, bool]:
    """The search that is asked for, and whether pictures are.

    Raises:
        CaptionerError: names the option, its value and what it may be.
    """
    table = {option.name: option for option in OPTIONS}
    for name in values:
        check_choice(name, [*table, PICTURES], "options")
    chosen = {name: table[name].read(text) for name, text in values.items() if name in table}
    pictures = values.get(PICTURES, "false")
    check_choice(pictures, YES_OR_NO, PICTURES)
    return search_options(**chosen), YES_OR_NO[pictures]
