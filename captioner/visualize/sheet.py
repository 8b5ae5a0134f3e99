"""The white sheet that figures are drawn on, with lengths in inches from its left and upper edges."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captioner.data.photos.written import MARK
from captioner.errors import CaptionerError
from captioner.system.atomic_files import whole_file
from captioner.visualize.fonts import fonts_for

DPI = 150
INK, FAINT = "#1a1a1a", "#6f6f6f"


def sheet(width: float, height: float, **options: Any) -> Figure:
    """An empty sheet; ``options`` are those of :class:`matplotlib.figure.Figure`."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", **options)


def axes_at(figure: Figure, left: float, upper: float, width: float, height: float) -> Axes:
    """Axes with their upper left corner there."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (upper + height) / down, width / across, height / down))


def write(
    figure: Figure, left: float, upper: float, text: str, points: float, colour: str = INK, **options: Any
) -> None:
    """Plain text, in which no character is markup; ``options`` are those of ``Figure.text``."""
    across, down = figure.get_size_inches()
    figure.text(
        left / across,
        1 - upper / down,
        text,
        size=points,
        color=colour,
        family=fonts_for(text),
        linespacing=1.25,
        parse_math=False,
        usetex=False,
        **options,
    )


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format that the file's name ends in.

    Raises:
        CaptionerError: the file cannot be written.
    """
    with picture_file(path) as file:
        write_figure(figure, file, Path(path).suffix[1:].lower())


def write_figure(figure: Figure, file: BinaryIO, kind: str) -> None:
    """Write a figure into an open file, in a format such as ``png``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, dpi=DPI, format=kind, metadata={"Software": MARK} if kind == "png" else None)


@contextmanager
def picture_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write a picture into, which appears whole; its folder must exist.

    Raises:
        CaptionerError: it cannot be written.
    """
    if not Path(path).parent.is_dir():
        raise CaptionerError(f"{path}: No such file or directory")
    with whole_file(Path(path)) as file:
        yield file
