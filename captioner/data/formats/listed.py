"""Several captions in one cell: the lists that pandas, numpy, Python and JSON write as text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

ARRAY = re.compile(r"(?:np\.)?array\((.*?)(?:,\s*dtype=[^,()]+)?\)", re.DOTALL)  # of numpy, as its repr
OPENED = {"[": "]", "(": ")", "{": "}"}
STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
BETWEEN = re.compile(r"\s*,\s*|\s+")  # numpy writes no comma


def looks_like_list(cell: str) -> bool:
    """Whether a cell is no caption by its brackets: ``['a dog']``, also where its end was cut off."""
    cell = _bare(cell)
    if not cell or cell[0] not in OPENED:
        return False
    if cell[0] == "(":  # as sentences have them too
        return listed_captions(cell) is not None
    return cell[1:].lstrip()[:1] in ("'", '"') or cell[-1] == OPENED[cell[0]]


def listed_captions(cell: str) -> list[str] | None:
    """The strings of a list, tuple or set that stands in a cell; None if it holds anything else.

    Nothing in it is run: a cell is read as JSON, else string by string, each as a literal.
    """
    cell = _bare(cell)
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return found if all(isinstance(item, str) for item in found) else None
    if cell[-1:] != OPENED.get(cell[:1]):
        return None
    try:
        return list(_strings(cell[1:-1].strip()))
    except (ValueError, SyntaxError):
        return None


def _bare(cell: str) -> str:
    """A cell without white space around it, and without the name of a numpy array."""
    array = ARRAY.fullmatch(cell.strip())
    return (array[1] if array else cell).strip()


def _strings(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        string = STRING.match(text, place)
        if string is None:
            raise ValueError
        yield ast.literal_eval(string[0].replace("\n", "\\n"))
        place = string.end()
        between = BETWEEN.match(text, place)
        if between is None and place < len(text):
            raise ValueError
        place = between.end() if between else place
