"""Captions with their photos, references and scores as one page, where no attention is known."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from captioner.visualize.document import document
from captioner.visualize.page import data_uri
from captioner.visualize.sheet import picture_file

SIDE = 480  # pixels, the longest of a photo


class Row(NamedTuple):
    """A photo, what was said of it, and what people said.

    Attributes:
        name: of the photo, and its place.
        scores: as text.
    """

    photo: Image.Image
    name: str
    caption: str
    references: Sequence[str]
    scores: str


def save_scored(rows: Iterable[Row], path: str | Path, title: str) -> None:
    """Write the page, which runs no script.

    Raises:
        CaptionerError: the file cannot be written.
    """
    text = document(
        "visualize/scored.html",
        ["visualize/page.css", "visualize/scored.css", "visualize/print.css"],
        title=html.escape(title),
        rows="\n".join(map(_article, rows)),
    ).text
    with picture_file(path) as file:
        file.write(text.encode())


def _article(row: Row) -> str:
    photo = row.photo.convert("RGB")
    photo.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    name, caption, scores = map(html.escape, (row.name, row.caption or "(no words)", row.scores))
    references = "".join(f"<li>{html.escape(reference)}</li>" for reference in row.references)
    return (
        f'<article><div><img src="{data_uri(photo, lossless=False)}" alt=""></div>'
        f"<div><p>{name}</p><h2>{caption}</h2><p>{scores}</p><ul>{references}</ul></div></article>"
    )
