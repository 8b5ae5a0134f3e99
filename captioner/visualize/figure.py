"""A caption as a still figure: the photo, then for each word where the model looked."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from captioner.errors import check_choice
from captioner.visualize.kinds import FIGURES
from captioner.visualize.overlay import maps_and_square, overlay, top_of_scale, upsample
from captioner.visualize.sheet import DPI, FAINT, axes_at, save, sheet, write

if TYPE_CHECKING:
    from captioner.caption import Caption


# Lengths in inches.
PANEL, GAP, MARGIN = 1.9, 0.2, 0.35
WORD, NOTE = 0.34, 0.32  # the lines above and below a panel
TITLE_LINE, TITLE_GAP = 0.31, 0.12
LEGEND, BAR_WIDTH, BAR_HEIGHT = 0.75, 2.4, 0.11

TITLE_POINTS, WORD_POINTS, NOTE_POINTS = 16, 12.5, 9


def attention_figure(caption: Caption) -> Figure:
    """Draw a caption's words over what the model looked at when it wrote them.

    Each word stands above its heat map, with its probability p given the words before it and the
    gate beta where the model has one. All maps share one scale, in multiples of uniform attention.

    Raises:
        CaptionerError: the caption was made without attention.
    """
    maps, square = maps_and_square(caption, "figure")
    panels = 1 + len(caption.words)
    columns = _columns(panels)
    width = 2 * MARGIN + columns * PANEL + (columns - 1) * GAP
    title = textwrap.wrap(caption.text, int(width * 72 / TITLE_POINTS / 0.58)) or ["(no words)"]
    head = MARGIN + len(title) * TITLE_LINE + TITLE_GAP
    rows = math.ceil(panels / columns)
    height = head + rows * (WORD + PANEL + NOTE) + LEGEND + MARGIN
    figure = sheet(width, height)
    write(figure, MARGIN, MARGIN, "\n".join(title), TITLE_POINTS, va="top")
    pixels = round(PANEL * DPI)
    heat = upsample(maps, pixels)
    top = top_of_scale(heat)
    photo = square.resize((pixels, pixels), Image.Resampling.BICUBIC)
    images = [photo, *(overlay(photo, one, top) for one in heat)]
    for i, (image, (word, note)) in enumerate(zip(images, _labels(caption), strict=True)):
        row, column = divmod(i, columns)
        left = MARGIN + column * (PANEL + GAP)
        upper = head + row * (WORD + PANEL + NOTE) + WORD
        panel = axes_at(figure, left, upper, PANEL, PANEL)
        panel.imshow(image)
        panel.set_axis_off()
        points = WORD_POINTS * min(1, 18 / max(1, len(word)))
        write(figure, left, upper - 0.09, word, points)
        write(figure, left, upper + PANEL + 0.17, note, NOTE_POINTS, FAINT)
    _draw_legend(figure, height - MARGIN - LEGEND + 0.2, top, gated=caption.betas is not None)
    return figure


def save_figure(caption: Caption, path: str | Path) -> None:
    """Write :func:`attention_figure` to a file of the format its name ends in.

    Raises:
        CaptionerError: the name ends in none of ``FIGURES``, the file cannot be written, or the
            caption was made without attention.
    """
    ending = Path(path).suffix.lower().lstrip(".")
    check_choice(ending, FIGURES, f"ending of {path}")
    save(attention_figure(caption), path)


def _columns(panels: int) -> int:
    """Four to six columns, those that leave the fewest places empty; three when that is enough."""
    if panels <= 4:
        return max(3, panels)
    return min((6, 5, 4), key=lambda columns: -panels % columns)


def _labels(caption: Caption) -> list[tuple[str, str]]:
    """What stands above and below each panel."""
    labels = [("", f"log p {caption.log_prob:.2f}".replace("-", "\N{MINUS SIGN}"))]
    for i, word in enumerate(caption.words):
        note = f"p {math.exp(caption.word_log_probs[i]):.2f}"
        if caption.betas is not None:
            note += f"    β {caption.betas[i]:.2f}"
        labels.append((word, note))
    return labels


def _draw_legend(figure: Figure, upper: float, top: float, gated: bool) -> None:
    """The scale of the colours, on mid-grey as over a photo, and what p and beta mean."""
    ramp = np.linspace(0, top, 256, dtype=np.float32)[None]
    grey = Image.new("RGB", (256, 1), "grey")
    bar = axes_at(figure, MARGIN, upper, BAR_WIDTH, BAR_HEIGHT)
    bar.set_axis_off()
    bar.imshow(overlay(grey, ramp, top), aspect="auto", extent=(0, top, 0, 1))
    bar.axvline(1, color="white", linewidth=1)
    scale = f"{top:.1f} times uniform attention"
    write(figure, MARGIN + BAR_WIDTH + 0.1, upper + 0.1, scale, NOTE_POINTS, FAINT)
    write(figure, MARGIN + BAR_WIDTH / top, upper + 0.27, "1", NOTE_POINTS, FAINT, ha="center")
    meaning = "p: probability of the word"
    if gated:
        meaning += "    β: how far the gate to the image is open"
    write(figure, MARGIN, upper + 0.55, meaning, NOTE_POINTS, FAINT)
