"""Draw how far a cell's gates opened at every word of a caption, for one model or several.

    python scripts/draw_gates.py --photo photo.jpg --output gates.png
    python scripts/draw_gates.py --scene 3 --output gates.png runs/cells/runs/*-seed0

Each model is a strip: its own caption across, below it the mean of each gate over the cell's units, from 0
(closed) to 1 (open).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import captioner
from captioner.caption import Caption
from captioner.config.data import ScenesConfig
from captioner.data.photos.image import Source
from captioner.data.scenes.scenes import load_scenes
from captioner.visualize.sheet import FAINT, INK, axes_at, save, sheet, write

# Lengths in inches.
MARGIN, NAMES, WORD, ROW, HEAD, GAP = 0.3, 1.25, 0.68, 0.27, 0.62, 0.25
BAR = 1.6


def gates_figure(captions: list[tuple[str, Caption]]) -> Figure:
    """The strips, one under the other; captions of cells without gates are left out."""
    gated = [(name, caption) for name, caption in captions if caption.gates]
    longest = max(len(next(iter((caption.gates or {}).values()))) for _, caption in gated)
    heights = [HEAD + ROW * len(caption.gates or {}) + GAP for _, caption in gated]
    width = MARGIN + NAMES + WORD * longest + MARGIN
    figure = sheet(width, MARGIN + sum(heights) + 0.55)
    upper = MARGIN
    for (name, caption), height in zip(gated, heights):
        _strip(figure, upper, name, caption)
        upper += height
    scale = axes_at(figure, MARGIN + NAMES, upper + 0.05, BAR, 0.12)
    scale.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap="Blues", vmin=0, vmax=1)
    scale.set_axis_off()
    write(figure, MARGIN + NAMES - 0.08, upper + 0.11, "closed", 8, FAINT, ha="right", va="center")
    write(figure, MARGIN + NAMES + BAR + 0.08, upper + 0.11, "open", 8, FAINT, va="center")
    return figure


def _strip(figure: Figure, upper: float, name: str, caption: Caption) -> None:
    gates = caption.gates or {}
    values = np.array(list(gates.values()))  # (gates, words)
    words = [*caption.words, "<end>"][: values.shape[1]]
    write(figure, MARGIN, upper + 0.12, name, 11, va="center")
    for place, word in enumerate(words):
        left = MARGIN + NAMES + WORD * (place + 0.5)
        points = 9 * min(1, 8.5 / len(word))
        write(figure, left, upper + HEAD - 0.1, word, points, INK, ha="center", va="baseline")
    axes = axes_at(figure, MARGIN + NAMES, upper + HEAD, WORD * len(words), ROW * len(gates))
    axes.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    axes.set_axis_off()
    for row, gate in enumerate(gates):
        middle = upper + HEAD + ROW * (row + 0.5)
        write(figure, MARGIN + NAMES - 0.08, middle, gate, 9, FAINT, ha="right", va="center")
        for place in range(len(words)):
            value = values[row, place]
            left = MARGIN + NAMES + WORD * (place + 0.5)
            colour = "white" if value > 0.6 else INK
            write(figure, left, middle, f"{value:.2f}", 7.5, colour, ha="center", va="center")


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument(
        "models", nargs="*", help="model files or run folders; none: the one that comes along"
    )
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--photo", type=Path)
    shown.add_argument("--scene", type=int, help="number of a generated scene of the test split")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    photo: Source = options.photo
    if options.scene is not None:
        photo = load_scenes(ScenesConfig(test=options.scene + 1), "test")[options.scene].source
    captions = []
    for path in options.models or [None]:
        name = "" if path is None else Path(path).name.partition("-")[0]
        captions.append((name, captioner.load(path).caption(photo)))
    save(gates_figure(captions), options.output)


if __name__ == "__main__":
    main()
