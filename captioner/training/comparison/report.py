"""A comparison of cells as a page of Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from captioner.config.schema import CompareConfig
from captioner.metrics.bootstrap import interval
from captioner.metrics.table import SCORES, compared
from captioner.training.comparison.conclusion import conclusion
from captioner.training.comparison.results import (
    BASELINE,
    LABELS,
    Difference,
    Differences,
    Row,
    Spread,
    by_cell,
    chance,
    difference,
    over_images,
    paired_by_seed,
    spread_of,
)
from captioner.version import __version__

TITLES = {"width": "Equal width", "parameters": "Equal number of weights"}
SHOWN_STEPS = (1, 5, 10, 15)
MINUS = "\N{MINUS SIGN}"


def as_markdown(
    tables: dict[str, list[Row]],
    config: CompareConfig,
    overrides: Sequence[str] = (),
    found: Mapping[str, Differences] | None = None,
) -> str:
    """The report; ``tables`` holds the rows of each table, the baseline's among them.

    Args:
        found: :func:`differences` of each table, where they are known already.
    """
    found = found or {table: differences(of_table) for table, of_table in tables.items()}
    rows = [row for of_table in tables.values() for row in of_table]
    parts = ["# Recurrent cells compared", _protocol(config, overrides), "![The cells compared](cells.png)"]
    for table, of_table in tables.items():
        parts += [f"## {TITLES[table]}", _scores(of_table)]
        parts += [f"**Against {BASELINE}.** " + _verdict(of_table, found[table]), _differences(found[table])]
        parts.append("**What can be concluded.** " + conclusion(of_table, found[table]))
    missing = {name: why for row in rows for name, why in row.missing.items()}
    if "gradient" not in missing:
        parts += ["## How far back the gradient reaches", _REACH]
        parts += [f"{TITLES[table]}:\n\n{_reach(of_table)}" for table, of_table in tables.items()]
    if missing:
        parts.append("Not measured: " + "; ".join(f"{name} ({why})" for name, why in missing.items()) + ".")
    parts += ["## How to read this", _HELP.format(scores=_percent())]
    return "\n\n".join(parts) + "\n"


_REACH = """\
Norm of the gradient of the sixteenth word's loss with respect to the state k steps earlier, relative to
k = 0: the mean over all dev captions of 16 words and more, then over seeds."""
_HELP = """\
Every number is a mean over seeds ± the standard deviation over them (n \N{MINUS SIGN} 1 in the divisor).
{scores} are in percent, of free-running captions of the dev split. NLL is nats per word, `<end>`
counted, teacher-forced, without dropout or label smoothing. All are of the weights that a run kept, those
of the epoch with the best dev BLEU-4. words/s is of training, the median epoch.

A difference is *larger than the spread* where the means are further apart than the standard deviation of
the difference between two single runs, the root of the sum of both cells' variances over seeds. *seeds* is
the 95 % interval of the mean difference between runs of the same seed (Student's t), *photos* the 95 %
bootstrap interval of the difference over the dev photos, of these very runs. `runs.csv` holds every run;
docs/cells.md has the exact definitions."""


def _percent() -> str:
    *others, last = (name for name in compared() if SCORES[name].scale == 100)
    return f"{', '.join(others)} and {last}"


def _protocol(config: CompareConfig, overrides: Sequence[str]) -> str:
    seeds = ", ".join(map(str, config.seeds))
    search = config.search
    how = f"beam {search.beam_size}" if search.strategy == "beam" else search.strategy
    text = (
        f"Data {config.data.name}, encoder {config.encoder.name}, {config.attention.name} attention, "
        f"{config.training.epochs} epochs, {how}; n = {len(config.seeds)} "
        f"seed{'s' * (len(config.seeds) > 1)} a cell ({seeds}); captioner {__version__}."
    )
    return text + "\n\n    " + shlex.join(["captioner", "compare", *overrides])


def _scores(rows: Sequence[Row]) -> str:
    columns = ["words_per_second", *compared(), "train_nll", "dev_nll"]
    lines = []
    for cell, of_cell in by_cell(rows).items():
        first = of_cell[0]
        values = [show(name, spread_of(of_cell, name)) for name in columns]
        lines.append([cell, str(first.hidden_size), f"{first.parameters:,}", *values])
    return table(["cell", "units", "weights", *(LABELS.get(name, name) for name in columns)], lines)


def _differences(found: Differences) -> str:
    names = [name for name in _judged() if any(name in of_cell for of_cell in found.values())]
    lines = [
        [cell, *(_difference(name, of_cell[name]) if name in of_cell else "–" for name in names)]
        for cell, of_cell in found.items()
    ]
    return table(["cell", *(LABELS.get(name, name) for name in names)], lines)


def differences(rows: Sequence[Row]) -> Differences:
    """By cell and value, how the other cells differ from the baseline."""
    cells = by_cell(rows)
    drawn = {cell: over_images(of_cell) for cell, of_cell in cells.items()}
    found: Differences = {}
    for cell, of_cell in cells.items():
        if cell == BASELINE:
            continue
        found[cell] = {}
        for name in _judged():
            ours, theirs = spread_of(of_cell, name), spread_of(cells[BASELINE], name)
            if ours is not None and theirs is not None:
                both = name in drawn[cell] and name in drawn[BASELINE]
                span = interval(drawn[cell][name] - drawn[BASELINE][name]) if both else None
                found[cell][name] = difference(
                    ours, theirs, span, paired_by_seed(of_cell, cells[BASELINE], name)
                )
    return found


def _judged() -> list[str]:
    """What cells are compared by."""
    return [*compared(), "dev_nll"]


def _verdict(rows: Sequence[Row], found: Differences) -> str:
    """Which differences are larger than the spread, and how often that would be so by chance."""
    each = [d for of_cell in found.values() for d in of_cell.values()]
    if not each:
        return f"There is no other cell to compare {BASELINE} with."
    if any(d.larger is None for d in each):
        return "With one seed per cell, nothing can be said about the spread."
    larger = {
        cell: [LABELS.get(name, name) for name, d in of_cell.items() if d.larger]
        for cell, of_cell in found.items()
    }
    named = "; ".join(f"{cell} in {', '.join(names)}" for cell, names in larger.items() if names)
    verdict = "None is larger than the spread."
    if named:
        verdict = f"Larger than the spread between seeds (bold): {named}."
    n = len(by_cell(rows)[BASELINE])
    return (
        f"{verdict} With n = {n} this is a weak test: two equally good cells would differ by more than the "
        f"spread {100 * chance(n):.0f} % of the time, so about {chance(n) * len(each):.1f} of these "
        f"{len(each)} differences would by chance alone."
    )


def _difference(name: str, value: Difference) -> str:
    scale, digits = scale_of(name)
    delta = _signed(scale * value.delta, digits)
    spread = "unknown" if value.spread is None else f"{scale * value.spread:.{digits}f}"
    parts = [f"spread {spread}"]
    for label, span in (("seeds", value.over_seeds), ("photos", value.interval)):
        if span is not None:
            low, high = (_signed(scale * end, digits) for end in span)
            parts.append(f"{label} {low} to {high}")
    text = f"{delta} ({'; '.join(parts)})"
    return f"**{text}**" if value.larger else text


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS)  # no minus zero


def _reach(rows: Sequence[Row]) -> str:
    lines = []
    for cell, of_cell in by_cell(rows).items():
        spreads = [spread_of(of_cell, f"gradient_{k}") for k in SHOWN_STEPS]
        lines.append([cell, *("–" if s is None else _significant(s) for s in spreads)])
    return table(["cell", *(f"{k} step{'s' * (k > 1)} back" for k in SHOWN_STEPS)], lines)


def _significant(value: Spread) -> str:
    spread = "" if value.deviation is None else f" ± {value.deviation:.1g}"
    return f"{value.mean:.2g}{spread}"


def show(name: str, value: Spread | None) -> str:
    """A mean with its spread as the tables print it."""
    if value is None:
        return "–"
    scale, digits = scale_of(name)
    text = f"{scale * value.mean:,.{digits}f}"
    return text if value.deviation is None else f"{text} ± {scale * value.deviation:,.{digits}f}"


def scale_of(name: str) -> tuple[float, int]:
    """What a value is multiplied by to be shown, and its decimals."""
    if name in SCORES:
        return SCORES[name].scale, SCORES[name].decimals
    return (1, 0) if name == "words_per_second" else (1, 3)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose numbers stand to the right, aligned in the source too."""
    widths = [max(map(len, column)) for column in zip(head, *lines)]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    rows = [
        [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:]))]
        for line in (head, *lines)
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))
