"""The kinds of files that attention is drawn to, by their endings, and the names of the pages."""

from __future__ import annotations

FIGURES = ("png", "svg", "pdf")  # one picture of all words
ANIMATIONS = ("gif", "apng")  # one word after the other
PAGE, PARTS = "index.html", "index_files"  # of many photos: the index, and the folder of their pages
