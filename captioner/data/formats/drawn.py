"""Tables as Markdown, psql and mysql draw them: bars between the cells, a rule of dashes below the header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

RULE = re.compile(r"(?=.*-)(?=.*[|+])[-+|: ]+")
COUNT = re.compile(r"\(\d+ rows?\)")  # psql's last line


def undrawn(lines: Sequence[str]) -> Sequence[str]:
    """The lines with what is only drawn left blank, so that they keep their numbers; others as they are."""
    begin = list(islice((line.strip() for line in lines if line.strip()), 2))
    rules = [RULE.fullmatch(line) is not None for line in begin]
    if not any(rules):
        return lines
    framed = all(line.startswith(("|", "+")) for line in begin)
    return [_without_frame(line.strip(), framed) for line in lines]


def _without_frame(line: str, framed: bool) -> str:
    if RULE.fullmatch(line) or COUNT.fullmatch(line):
        return ""
    return line.removeprefix("|").removesuffix("|") if framed else line
