"""A caption as a still figure: the photo, then for each word where the model looked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from captioner.errors import check_choice, printable
from captioner.visualize.kinds import FIGURES
from captioner.visualize.overlay import maps_and_square, overlay, top_of_scale, upsample
from captioner.visualize.places import LARGEST, MARGIN, PANEL, WORD, Places
from captioner.visualize.sheet import DPI, FAINT, INK, axes_at, save, sheet, write
from captioner.visualize.trust import FADED, LOOKED, maps_note, quiet

if TYPE_CHECKING:
    from captioner.caption import Caption


# Lengths in inches.
NAME_LINE, TITLE_LINE, TITLE_GAP, TRUST_LINE = 0.28, 0.31, 0.12, 0.2
LEGEND, BAR_WIDTH, BAR_HEIGHT = 0.75, 2.4, 0.11

TITLE_POINTS, WORD_POINTS, NOTE_POINTS = 16, 12.5, 9
NO_LOOK = "\N{WHITE CIRCLE}"
UNSEEN = 0.6  # of white, over what the model did not see of the photo


def attention_figure(caption: Caption, name: str = "") -> Figure:
    """Draw a caption's words over what the model looked at when it wrote them.

    The photo has its own resolution. Beside and below it each word stands above its heat map, which covers
    what the model saw of the photo, with the word's probability p given the words before it and the gate
    beta, or what a sentinel leaves to the image, where the model has either. All maps share one scale, in
    multiples of uniform attention; those that are nearly the caption's mean map are faint. Below stands how
    far the model's maps may be believed, if the model file tells.

    Args:
        name: what the photo is called; stands above the caption.

    Raises:
        CaptionerError: the caption was made without attention.
    """
    maps, square = maps_and_square(caption, "figure")
    photo, frame = (caption.photo or square).convert("RGB"), caption.frame
    if caption.photo is None or frame is None:
        frame = (0, 0, *photo.size)
    places, faint = Places.of(photo.size, len(caption.words)), quiet(maps)
    title = textwrap.wrap(caption.text, int(places.width * 72 / TITLE_POINTS / 0.58)) or ["(no words)"]
    title_top = MARGIN + (NAME_LINE if name else 0)
    head = title_top + len(title) * TITLE_LINE + TITLE_GAP
    trust = _trust(caption, any(faint), int((places.width - 2 * MARGIN) * 72 / NOTE_POINTS / 0.55))
    legend = head + places.height
    height = legend + LEGEND + len(trust) * TRUST_LINE + MARGIN
    figure = sheet(places.width, height)
    write(figure, MARGIN, title_top, "\n".join(title), TITLE_POINTS, va="top")
    if name:
        most = int((places.width - 2 * MARGIN) * 72 / NOTE_POINTS / 0.62)
        write(figure, MARGIN, MARGIN, _shortened(printable(name), most), NOTE_POINTS, FAINT, va="top")

    _draw(figure, _resized(photo, places.photo), (MARGIN, head + WORD), places.photo)
    note = f"log p {caption.log_prob:.2f}".replace("-", "\N{MINUS SIGN}")
    write(figure, MARGIN, head + WORD + places.photo[1] + 0.17, note, NOTE_POINTS, FAINT)

    panel = [max(1, round(side * DPI)) for side in places.panel]
    small = photo.resize((panel[0], panel[1]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    seen = _within(frame, photo.size, (panel[0], panel[1]))
    heat = upsample(maps, seen[3] - seen[1], seen[2] - seen[0])
    top = top_of_scale(heat)
    pale = Image.blend(small, Image.new("RGB", small.size, "white"), UNSEEN)
    for i, (word, note) in enumerate(_labels(caption)):
        left, upper = places.of_word(i)
        image = pale.copy()
        image.paste(overlay(small.crop(seen), heat[i], top, FADED if faint[i] else 1), seen[:2])
        _draw(figure, image, (left, head + upper), places.panel)
        points = WORD_POINTS * min(1, 18 * places.column / PANEL / max(1, len(word)))
        write(figure, left, head + upper - 0.09, word, points, FAINT if faint[i] else INK)
        write(figure, left, head + upper + places.panel[1] + 0.17, note, NOTE_POINTS, FAINT)
    _draw_legend(figure, legend + 0.2, top, gated=caption.betas is not None)
    if trust:
        write(figure, MARGIN, legend + LEGEND + 0.05, "\n".join(trust), NOTE_POINTS, FAINT, va="top")
    return figure


def save_figure(caption: Caption, path: str | Path, name: str = "") -> None:
    """Write :func:`attention_figure` to a file of the format its name ends in.

    Raises:
        CaptionerError: the name ends in none of ``FIGURES``, the file cannot be written, or the
            caption was made without attention.
    """
    ending = Path(path).suffix.lower().lstrip(".")
    check_choice(ending, FIGURES, f"ending of {path}")
    save(attention_figure(caption, name), path)


def _within(
    frame: Sequence[float], size: tuple[int, int], shown: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A frame of a photo of ``size`` in the pixels of that photo as it is shown; at least one pixel."""
    (left, right), (upper, lower) = (
        (round(frame[k] * shown[k] / size[k]), round(frame[k + 2] * shown[k] / size[k])) for k in (0, 1)
    )
    left, upper = min(left, shown[0] - 1), min(upper, shown[1] - 1)
    return left, upper, max(left + 1, right), max(upper + 1, lower)


def _resized(photo: Image.Image, inches: tuple[float, float]) -> Image.Image:
    """The photo with its own pixels, unless they are very many or fewer than it is shown with."""
    width, height = (max(1, round(side * DPI)) for side in inches)
    own = min(1.0, LARGEST / max(photo.size))
    width, height = max(width, round(photo.width * own)), max(height, round(photo.height * own))
    return photo.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _draw(figure: Figure, image: Image.Image, place: tuple[float, float], size: tuple[float, float]) -> None:
    axes = axes_at(figure, *place, *size)
    axes.imshow(image, aspect="auto")
    axes.set_axis_off()


def _shortened(name: str, most: int) -> str:
    """A name with its middle left out where it is too long; its ending stays."""
    return name if len(name) <= most else f"{name[: most - most // 3 - 1]}…{name[-(most // 3) :]}"


def _labels(caption: Caption) -> list[tuple[str, str]]:
    """What stands above and below each word's panel."""
    labels = []
    for i, word in enumerate(caption.words):
        note = f"p {math.exp(caption.word_log_probs[i]):.2f}"
        if caption.betas is not None:
            note += f"    β {caption.betas[i]:.2f}" + f" {NO_LOOK}" * (caption.betas[i] < LOOKED)
        labels.append((word, note))
    return labels


def _trust(caption: Caption, faint: bool, most: int) -> list[str]:
    """How far the maps may be believed, in lines of at most so many characters."""
    told = [maps_note(caption.grounding)] if caption.grounding else []
    told += ["Faint: words whose maps are nearly the mean map of the caption, and so tell nothing."] * faint
    return [line for text in told for line in textwrap.wrap(text, most)]


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
        meaning += f"    β: how much the image counts, {NO_LOOK} below ½: little"
    write(figure, MARGIN, upper + 0.55, meaning, NOTE_POINTS, FAINT)
