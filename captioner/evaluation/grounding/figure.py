"""How far the attention maps can be believed, as a figure: bars against chance, and the deletion curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captioner.evaluation.grounding.deletion import Deletion
from captioner.evaluation.grounding.mosaics import GridPointing
from captioner.evaluation.grounding.placement import Placement, VersusChance
from captioner.evaluation.grounding.report import AttentionReport
from captioner.visualize.sheet import FAINT, INK, save, sheet

PANEL, HEIGHT = 3.6, 3.5  # inches
MODEL, NEAR, SHUFFLED, UNIFORM = "#b5367a", "#f0cfdf", "#a8a8a8", "#d9d9d9"
BAR = 0.26  # of the room of a class


def grounding_figure(report: AttentionReport) -> Figure:
    """Draw maps against boxes by word class, where there are boxes, maps of mosaics, and deletion."""
    panels = 1 + 2 * bool(report.captions) + (report.mosaics is not None)
    figure = sheet(0.6 + PANEL * panels, HEIGHT, layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    if report.captions:
        _draw_bars(axes[0], "Peak inside the box", report.captions, "pointing")
        _draw_bars(axes[1], "Attention inside the box", report.captions, "mass")
        axes[0].legend(
            fontsize=7.5,
            frameon=False,
            labelcolor=INK,
            loc="upper left",
            ncols=4,
            columnspacing=0.8,
            handlelength=0.9,
            borderaxespad=0,
            handletextpad=0.4,
        )
    if report.mosaics is not None:
        _draw_mosaics(axes[-2], report.mosaics)
    _draw_curve(axes[-1], report.deletion)
    note = (
        f"normalized entropy {report.entropy:.2f}    moved from word to word {100 * report.moved:.0f} %    "
        f"apart from the caption's mean {100 * report.apart:.0f} %"
    )
    figure.supxlabel(note if panels > 1 else note.replace("    apart", "\napart"), fontsize=8, color=FAINT)
    return figure


def save_grounding_figure(report: AttentionReport, path: Path) -> None:
    """Write :func:`grounding_figure` in the format that the file's name ends in.

    Raises:
        CaptionerError: the file cannot be written.
    """
    save(grounding_figure(report), path)


def _draw_bars(axes: Axes, title: str, placed: dict[str, Placement], measure: str) -> None:
    """Per class of words the model, the maps of other images and a uniform map, in percent."""
    found: list[VersusChance] = [getattr(p, measure) for p in placed.values()]
    _draw_beside_chance(axes, found)
    if measure == "pointing":
        values = [100 * p.pointing.model for p in placed.values()]
        gain = [100 * p.near.model - value for p, value in zip(placed.values(), values)]
        places = [x - BAR for x in range(len(values))]
        axes.bar(places, gain, BAR * 0.92, values, color=NEAR, zorder=0.9, label="within half a cell")
    _style(axes, title, "% of words" if measure == "pointing" else "% of a word's attention")
    axes.set_xticks(range(len(placed)), [f"{kind}\n{p.words}" for kind, p in placed.items()])


def _draw_mosaics(axes: Axes, found: GridPointing) -> None:
    """Peak and mass in the word's own quadrant, with intervals, beside chance, in percent."""
    shares = (found.peak, found.mass)
    _draw_beside_chance(axes, shares, [share.interval for share in shares])
    _style(axes, "Own image of four", "% of words, of a word's attention")
    axes.set_xticks(range(2), ["peak", "mass"])
    axes.set_xlabel(f"{found.words} words of {found.mosaics} mosaics", fontsize=8.5)
    if not any(other.get_legend() for other in axes.figure.axes):
        axes.legend(fontsize=7.5, frameon=False, labelcolor=INK, loc="upper left", ncols=3, handlelength=0.9)


def _draw_beside_chance(
    axes: Axes, found: Sequence[VersusChance], intervals: Sequence[tuple[float, float]] = ()
) -> None:
    """Bars of the model, perhaps with intervals, of shuffled and of uniform maps, in percent."""
    for i, (label, colour) in enumerate((("model", MODEL), ("shuffled", SHUFFLED), ("uniform", UNIFORM))):
        values = [100 * (getattr(one, label) or 0) for one in found]
        places = [x + (i - 1) * BAR for x in range(len(values))]
        reach: dict[str, Any] = {}
        if intervals and not i:
            ends = [[abs(100 * pair[k] - value) for pair, value in zip(intervals, values)] for k in (0, 1)]
            reach = {"yerr": ends, "ecolor": INK, "error_kw": {"elinewidth": 0.9, "capsize": 2.5}}
        bars = axes.bar(places, values, BAR * 0.92, color=colour, label=label, **reach)
        texts = [f"{v:.0f}" for v in values]
        axes.bar_label(bars, texts, fontsize=7.5, color=FAINT if i else INK, padding=1)
    axes.set_ylim(0, 118)
    axes.set_yticks(range(0, 101, 25))


def _draw_curve(axes: Axes, deletion: Deletion) -> None:
    """The drops over the share of the locations that is deleted; nothing deleted drops nothing."""
    shares = [0.0, *(100 * share for share in deletion.shares)]
    for label, drops, colour in (
        ("most attended", deletion.attended, MODEL),
        ("random", deletion.random, FAINT),
    ):
        axes.plot(shares, [0, *drops], "o-", color=colour, markersize=4, linewidth=1.6)
        axes.annotate(
            label,
            (shares[-1], drops[-1]),
            (-4, 6),
            textcoords="offset points",
            fontsize=8.5,
            color=colour,
            ha="right",
        )
    _style(axes, "Word's loss when locations are deleted", "drop of log probability, nats")
    axes.set_xlabel(f"% of the locations ({deletion.images} images, {deletion.words} words)", fontsize=8.5)
    axes.set_xticks(shares)
    axes.margins(y=0.12)
    axes.set_ylim(bottom=min(0.0, *deletion.random))


def _style(axes: Axes, title: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_ylabel(ylabel, fontsize=8.5, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK, length=0)
    axes.grid(axis="y", color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#cccccc")
