"""The kinds of files that attention is drawn to, by their endings."""

from __future__ import annotations

FIGURES = ("png", "svg", "pdf")  # one picture of all words
ANIMATIONS = ("gif", "apng")  # one word after the other
