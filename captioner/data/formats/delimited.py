"""Tables as spreadsheets and programs write them: cells with commas, semicolons, tabs or bars between.

The delimiter is the one by which the header has the columns that are asked for. A quoted cell may hold
delimiters and line ends; one that only begins with a quotation (``"Stop" says the sign``) is read as it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.data.formats.drawn import undrawn
from captioner.data.formats.files import CUT_SHORT, Fault, text_lines
from captioner.errors import CaptionerError

DELIMITERS = (",", ";", "\t", "|")
CALLED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HINT = re.compile(r'"?sep=([,;\t|])"?')  # a first line with which Excel is told the delimiter
PHOTO = re.compile(r"\.(jpe?g|png|gif|webp|bmp|tiff?|heic|avif)$", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """The cells of one row; ``place`` is ``file:line``, ``fault`` what is wrong with it."""

    place: str
    cells: list[str]
    fault: CaptionerError | None = None


@dataclass(frozen=True)
class Table:
    """A table whose header has been read."""

    columns: list[str]
    delimiter: str
    lines: Sequence[str]
    first: int
    path: Path

    def rows(self, image: int) -> Iterator[Row]:
        """Every row that is not blank.

        Args:
            image: the column of image names, by which a row within an open quotation is recognized.
        """
        number = self.first
        while number < len(self.lines):
            place, start = f"{self.path}:{number + 1}", number
            number += 1
            if not self.lines[start].strip():
                continue
            cells = _cells([self.lines[start]], self.delimiter)
            if cells is None and _is_open(self.lines[start], self.delimiter):
                number = self._end_of_quotation(start)
                cells = _cells(self.lines[start:number], self.delimiter)
                within = (_plain_cells(line, self.delimiter) for line in self.lines[start + 1 : number])
                if cells is None or any(self._is_row(line, image) for line in within):
                    number = start + 1
                    yield Row(
                        place, [], CaptionerError(f"{place}: a quotation mark is opened and never closed")
                    )
                    continue
            if cells is None:
                cells = _plain_cells(self.lines[start], self.delimiter)
            if any(cells):  # spreadsheets write rows of empty cells after the last one
                yield Row(place, cells, self._fault(place, len(cells)))

    def _end_of_quotation(self, start: int) -> int:
        """The number of the line after the one where the quotation marks are even again."""
        marks = 0
        for number in range(start, len(self.lines)):
            marks += self.lines[number].count('"')
            if marks % 2 == 0:
                return number + 1
        return start + 1

    def _is_row(self, cells: Sequence[str], image: int) -> bool:
        return len(cells) == len(self.columns) and PHOTO.search(cells[image]) is not None

    def _fault(self, place: str, cells: int) -> CaptionerError | None:
        wanted, mark = len(self.columns), CALLED[self.delimiter][:-1]
        if cells < wanted:
            return Fault(CUT_SHORT, f"{place}: has {cells} fields, the header {wanted}")
        if cells > wanted:
            return CaptionerError(
                f"{place}: has {cells} fields, the header {wanted} "
                f"(a caption with a {mark} must be in double quotes)"
            )
        return None


def read_table(path: Path, key: str, wanted: Sequence[str]) -> Table:
    """Read a table's header, and choose the delimiter.

    Args:
        key: the config key that names the file.
        wanted: columns that there should be.

    Raises:
        CaptionerError: the file cannot be read. (Missing columns are for the caller to tell.)
    """
    lines = undrawn(text_lines(path, key))
    first, hint = 0, HINT.fullmatch(lines[0].strip(" "))
    if hint:
        first = 1
    while first < len(lines) - 1 and not lines[first].strip():
        first += 1
    headers = {mark: header_of(lines[first], mark) for mark in ([hint[1]] if hint else DELIMITERS)}
    delimiter = max(headers, key=lambda mark: (len(set(wanted) & set(headers[mark])), len(headers[mark])))
    return Table(headers[delimiter], delimiter, lines, first + 1, path)


def header_of(line: str, delimiter: str) -> list[str]:
    """The names of the columns that a header gives."""
    cells = _cells([line], delimiter)
    return [cell.strip() for cell in (_plain_cells(line, delimiter) if cells is None else cells)]


def column(table: Table, name: str, key: str) -> int:
    """Which column has this name.

    Raises:
        CaptionerError: there is none, or there are two.
    """
    first = f"{table.path}:{table.first}"
    if name not in table.columns:
        there = ", ".join(filter(None, table.columns)) or "none"
        raise CaptionerError(f"{first}: has no column {name!r} ({key}); columns there: {there}")
    if table.columns.count(name) > 1:
        raise CaptionerError(f"{first}: has two columns {name!r} ({key})")
    return table.columns.index(name)


def _cells(lines: Sequence[str], delimiter: str) -> list[str] | None:
    """The cells of a row over these lines; None if its quotation marks are not those of a table."""
    text = "\n".join(lines)
    try:
        (row,) = csv.reader(_feed(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return None
    return [cell.strip() for cell in row]


def _feed(text: str) -> Iterator[str]:
    yield text


def _is_open(line: str, delimiter: str) -> bool:
    """Whether a line ends within a quoted cell."""
    try:
        list(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _plain_cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line in which quotation marks are text, unless they stand around a whole cell."""
    cells = [cell.strip() for cell in line.split(delimiter)]
    whole = [len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1] for cell in cells]
    return [cell[1:-1] if quoted else cell for cell, quoted in zip(cells, whole)]
