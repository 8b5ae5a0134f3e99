"""Where a still figure's photo and its words' panels stand, in inches."""

from __future__ import annotations

import math
from typing import NamedTuple

from captioner.visualize.sheet import DPI

PANEL, GAP, MARGIN = 1.9, 0.2, 0.35  # PANEL: a panel's longer side
NARROW, LOW = 1.2, 0.1  # the least that a panel takes across, and down
WIDEST, LEGEND = 6 * (PANEL + GAP), 3 * PANEL  # all columns at most, and at least
WORD, NOTE = 0.34, 0.32  # the lines above and below a panel
LARGEST = 1200  # pixels, of the photo's longer side
FINE = 0.9  # of its own size at the figure's resolution, the least at which a photo is shown
ROUNDING = 1e-6


class Places(NamedTuple):
    """Where the photo and the words' panels are, in inches from the left edge and below the title.

    The photo stands at the left of the first rows, about as large as its pixels ask for, and spans whole
    columns; words fill the columns beside it, and then whole rows below.

    Attributes:
        photo, panel: width and height of the photo, and of a word's panel.
        column: the width of a column.
        columns, spanned: how many columns there are, and those of them that the photo takes.
        beside: rows beside the photo.
    """

    photo: tuple[float, float]
    panel: tuple[float, float]
    column: float
    columns: int
    spanned: int
    beside: int
    words: int

    @classmethod
    def of(cls, size: tuple[int, int], words: int) -> Places:
        """For a photo of ``size`` (width, height) in pixels."""
        aspect = size[1] / size[0]
        panel = max(LOW, min(PANEL, PANEL / aspect)), max(LOW, min(PANEL, PANEL * aspect))
        column = max(panel[0], NARROW)
        own = max(panel[0], size[0] / DPI * min(1, LARGEST / max(size)))
        spanned = max(1, math.ceil((FINE * own + GAP) / (column + GAP) - ROUNDING))
        across = spanned * (column + GAP) - GAP if spanned > 1 else min(own, column)
        photo = across, max(LOW, min(LARGEST / DPI, across * aspect))
        beside = max(1, round((photo[1] + WORD + NOTE) / (panel[1] + WORD + NOTE)))
        least = max(spanned, math.ceil(LEGEND / (column + GAP)))
        widest = max(least, min(int(WIDEST / (column + GAP) + ROUNDING), spanned + math.ceil(words / beside)))
        choices = range(widest, max(least, widest - 2) - 1, -1)
        return min((cls(photo, panel, column, n, spanned, beside, words) for n in choices), key=cls._empty)

    def _empty(self) -> int:
        """Places for words that stay empty."""
        return self._first + self.columns * self._rows_below - self.words

    @property
    def _first(self) -> int:
        return (self.columns - self.spanned) * self.beside  # words beside the photo

    @property
    def _rows_below(self) -> int:
        return math.ceil(max(0, self.words - self._first) / self.columns)

    @property
    def _line(self) -> float:
        return WORD + self.panel[1] + NOTE

    @property
    def _below(self) -> float:
        """Where the rows below the photo begin."""
        return max(WORD + self.photo[1] + NOTE, self._line * min(self.beside, self._rows_beside))

    @property
    def _rows_beside(self) -> int:
        across = self.columns - self.spanned
        return math.ceil(min(self.words, self._first) / across) if across else 0

    @property
    def width(self) -> float:
        """Of the figure."""
        return 2 * MARGIN + self.columns * (self.column + GAP) - GAP

    @property
    def height(self) -> float:
        """Of the photo and all panels with their lines."""
        return self._below + self._rows_below * self._line

    def of_word(self, i: int) -> tuple[float, float]:
        """Left and upper edge of a word's panel."""
        if i < self._first:
            row, column = divmod(i, self.columns - self.spanned)
            column, upper = column + self.spanned, 0.0
        else:
            row, column = divmod(i - self._first, self.columns)
            upper = self._below
        return MARGIN + column * (self.column + GAP), upper + row * self._line + WORD
