"""A comparison of cells as a figure: every seed a dot, the baseline's spread a band behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from captioner.metrics.table import compared
from captioner.training.comparison.gradient_reach import STEPS
from captioner.training.comparison.report import TITLES, scale_of
from captioner.training.comparison.results import BASELINE, Row, by_cell, spread_of
from captioner.visualize.sheet import FAINT, INK, axes_at, save, sheet, write

TITLED = {  # what is drawn beside the scores, above its axis
    "dev_nll": "dev NLL, nats per word",
    "words_per_second": "words/s in training",
}
COLOURS = {  # Okabe & Ito's, which colour-blind readers can distinguish; the baseline in ink
    BASELINE: INK,
    "vanilla": "#d55e00",
    "peephole": "#0072b2",
    "coupled": "#56b4e9",
    "gru": "#009e73",
    "gru_reset_after": "#cc79a7",
}
LINE, BAND = "#d9d9d9", "#eeeeee"

# Lengths in inches.
MARGIN, NAMES, PANEL, GAP, CURVES, LABELS = 0.35, 1.15, 1.55, 0.3, 2.9, 1.15
HEAD, ROW, FOOT = 0.75, 0.27, 0.45
LABEL = 0.09  # least distance between the names of two curves, of the panel's height


def comparison_figure(tables: dict[str, list[Row]]) -> Figure:
    """A strip of panels a table: scores on the left, on the right how far back the gradient reaches.

    A dot is a run, the short line the mean of its cell. The band is the baseline's mean plus and minus
    one standard deviation over seeds.
    """
    panels = [*compared(), *TITLED]
    names = [name for name in panels if any(name in row.values for rows in tables.values() for row in rows)]
    reach = any("gradient_0" in row.values for rows in tables.values() for row in rows)
    count = max(len(by_cell(rows)) for rows in tables.values())
    panel = max(count * ROW + 0.2, 1.8)
    strip = HEAD + panel + FOOT
    width = MARGIN + NAMES + len(names) * (PANEL + GAP) + (0.45 + CURVES + LABELS) * reach + MARGIN
    height = len(tables) * strip + 0.3 + MARGIN
    figure = sheet(width, height)
    for i, (table, rows) in enumerate(tables.items()):
        upper = i * strip + HEAD
        title = TITLES[table]
        if table == "width":
            title += f": {rows[0].hidden_size} units"
        write(figure, MARGIN, upper - 0.42, title, 13)
        for column, name in enumerate(names):
            axes = axes_at(figure, MARGIN + NAMES + column * (PANEL + GAP), upper, PANEL, panel)
            _draw_dots(axes, rows, name, labelled=column == 0)
        if reach:
            _draw_reach(axes_at(figure, width - MARGIN - LABELS - CURVES, upper, CURVES, panel), rows)
    note = (
        "Dot: a seed.  Stroke: the mean over seeds.  "
        f"Band: {BASELINE}'s mean \N{PLUS-MINUS SIGN} one standard deviation."
    )
    write(figure, MARGIN, height - MARGIN, note, 9, FAINT)
    return figure


def save_comparison(tables: dict[str, list[Row]], path: Path) -> None:
    """Write :func:`comparison_figure` in the format that the file's name ends in.

    Raises:
        CaptionerError: the file cannot be written.
    """
    save(comparison_figure(tables), path)


def _draw_dots(axes: Axes, rows: Sequence[Row], name: str, labelled: bool) -> None:
    cells, (scale, _) = by_cell(rows), scale_of(name)
    baseline = spread_of(cells[BASELINE], name)
    if baseline is not None and baseline.deviation is not None:
        middle, half = scale * baseline.mean, scale * baseline.deviation
        axes.axvspan(middle - half, middle + half, color=BAND, linewidth=0, zorder=0)
    if baseline is not None:
        axes.axvline(scale * baseline.mean, color=LINE, linewidth=1, zorder=1)
    for y, (cell, of_cell) in enumerate(cells.items()):
        values = [scale * row.values[name] for row in of_cell if name in row.values]
        colour = COLOURS.get(cell, FAINT)
        if len(values) > 1:
            mean = sum(values) / len(values)
            axes.plot([mean, mean], [y - 0.3, y + 0.3], color=colour, linewidth=2, solid_capstyle="butt")
        axes.scatter(values, [y] * len(values), s=26, color=colour, alpha=0.6, linewidth=0, zorder=3)
    _tidy(axes, TITLED.get(name, name))
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(3, min_n_ticks=2))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_yticks(range(len(cells)), [_name(cell) for cell in cells] if labelled else [])
    for text, cell in zip(axes.get_yticklabels(), cells):
        text.set_color(COLOURS.get(cell, FAINT))
        text.set_fontsize(10)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.spines["left"].set_visible(False)


def _draw_reach(axes: Axes, rows: Sequence[Row]) -> None:
    ends = {}
    for cell, of_cell in by_cell(rows).items():
        spreads = [spread_of(of_cell, f"gradient_{k}") for k in range(STEPS + 1)]
        means = [s.mean for s in spreads if s is not None]
        if len(means) == len(spreads):
            colour = COLOURS.get(cell, FAINT)
            axes.plot(means, color=colour, linewidth=2 if cell == BASELINE else 1.4, zorder=3)
            ends[cell] = means[-1]
    _tidy(axes, "gradient k steps back, relative to k = 0")
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", color=BAND, linewidth=1)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, STEPS)
    axes.set_xticks([0, 1, 5, 10, 15])
    axes.set_axisbelow(True)
    _label_ends(axes, ends)


def _label_ends(axes: Axes, ends: dict[str, float]) -> None:
    """Each curve's name at its end, moved apart where two would overlap, but not past the top."""
    to_axes = axes.transData + axes.transAxes.inverted()
    cells = sorted(ends, key=ends.__getitem__)
    heights = [float(to_axes.transform((STEPS, ends[cell]))[1]) for cell in cells]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + LABEL)
    ceiling = 1.0
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], ceiling)
        ceiling = heights[i] - LABEL
    for cell, height in zip(cells, heights):
        colour = COLOURS.get(cell, FAINT)
        axes.text(1.02, height, _name(cell), transform=axes.transAxes, color=colour, size=9, va="center")


def _tidy(axes: Axes, title: str) -> None:
    axes.set_title(title, size=9.5, color=FAINT, loc="left", pad=6)
    axes.tick_params(colors=FAINT, labelsize=8.5, width=0.8, color=LINE)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)


def _name(cell: str) -> str:
    return {"gru_reset_after": "gru, reset after"}.get(cell, cell)
