"""The gates of recurrent cells as a figure: how far each was open at every word of a caption."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from captioner.caption import Caption
from captioner.visualize.sheet import FAINT, INK, axes_at, save, sheet, write

# Lengths in inches.
MARGIN, NAME, WORD, ROW, TITLE, WORDS_LINE, GAP, PHOTO = 0.25, 0.6, 0.58, 0.2, 0.24, 0.2, 0.16, 1.5
OPEN = (0.0, 0.447, 0.698)  # Okabe & Ito's blue, of a gate that is all open; white: closed
LONGEST = 8  # letters of a word at its full size


def gates_figure(captions: Mapping[str, Caption]) -> Figure:
    """A block for each caption, named by its model: a column for each word, a row for each gate.

    A square is the mean over the cell's units, white for 0 and blue for 1, with the number in it; beta is the
    decoder's gate to the image. The photo, which is the first caption's, stands on the left.
    """
    most = max((len(caption.words) for caption in captions.values()), default=0)
    rows = {name: _rows(caption) for name, caption in captions.items()}
    height = sum(TITLE + WORDS_LINE + ROW * max(1, len(of)) + GAP for of in rows.values())
    left = MARGIN + PHOTO + 0.3
    figure = sheet(left + NAME + most * WORD + MARGIN, max(height, PHOTO) + 2 * MARGIN)
    photo = next((c.photo or c.image for c in captions.values()), None)
    if photo is not None:
        scale = PHOTO / max(photo.size)
        axes = axes_at(figure, MARGIN, MARGIN + 0.1, photo.width * scale, photo.height * scale)
        axes.imshow(photo, aspect="auto")
        axes.set_axis_off()
    upper = MARGIN
    for name, caption in captions.items():
        write(figure, left, upper + 0.1, name, 11, weight="bold")
        upper += TITLE
        for t, word in enumerate(caption.words):
            points = 9 * min(1, LONGEST / max(1, len(word)))
            write(figure, left + NAME + (t + 0.5) * WORD, upper + 0.15, word, points, ha="center")
        upper += WORDS_LINE
        for gate, values in rows[name].items():
            write(figure, left, upper + ROW * 0.68, gate, 9, FAINT)
            _squares(figure, left + NAME, upper, values)
            upper += ROW
        if not rows[name]:
            write(figure, left, upper + ROW * 0.68, "no gates", 9, FAINT)
            upper += ROW
        upper += GAP
    return figure


def save_gates(captions: Mapping[str, Caption], path: str | Path) -> None:
    """Write :func:`gates_figure` in the format that the file's name ends in.

    Raises:
        CaptionerError: the file cannot be written.
    """
    save(gates_figure(captions), path)


def _rows(caption: Caption) -> dict[str, tuple[float, ...]]:
    rows = dict(caption.gates or {})
    return rows if caption.betas is None else {**rows, "β": caption.betas}


def _squares(figure: Figure, left: float, upper: float, values: tuple[float, ...]) -> None:
    if not values:
        return
    axes = axes_at(figure, left, upper, len(values) * WORD, ROW)
    axes.set_axis_off()
    axes.set_xlim(0, len(values))
    axes.set_ylim(0, 1)
    for t, value in enumerate(values):
        colour = tuple(1 - value * (1 - part) for part in OPEN)
        axes.add_patch(Rectangle((t + 0.02, 0.06), 0.96, 0.88, facecolor=colour, linewidth=0))
        ink = "white" if value > 0.7 else INK
        axes.text(t + 0.5, 0.47, f"{value:.2f}", size=7.5, color=ink, ha="center", va="center")
