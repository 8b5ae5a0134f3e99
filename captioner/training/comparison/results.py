"""Repeated runs of several cells in numbers: means, spreads, and differences against them."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

BASELINE = "lstm"  # what every other cell is compared with


@dataclass(frozen=True)
class Row:
    """What one run gave.

    Attributes:
        parameters: weights of the decoder.
        values: by name: words_per_second, the scores that are compared (0 to 1, CIDEr can pass it), train_nll
            and dev_nll (nats per word), gradient_0 to gradient_15 (see ``gradient_reach``).
        missing: what could not be measured, each with the reason or the way to get it.
    """

    cell: str
    hidden_size: int
    parameters: int
    seed: int
    values: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing.

    Attributes:
        deviation: sample standard deviation, divided by n - 1; None for a single one.
    """

    mean: float
    deviation: float | None


def summarize(values: Sequence[float]) -> Spread:
    """Mean and standard deviation over seeds."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation)


@dataclass(frozen=True)
class Difference:
    """How a cell's mean compares with the baseline's.

    Attributes:
        delta: the cell's mean minus the baseline's.
        spread: standard deviation of the difference between two single runs, the root of the sum of both
            cells' variances over seeds; None if either has but one seed.
    """

    delta: float
    spread: float | None

    @property
    def larger(self) -> bool | None:
        """Whether the difference is larger than the spread between seeds; None: unknown."""
        return None if self.spread is None else abs(self.delta) > self.spread


def difference(cell: Spread, baseline: Spread) -> Difference:
    """The cell's mean against the baseline's, with the spread between seeds."""
    delta = cell.mean - baseline.mean
    if cell.deviation is None or baseline.deviation is None:
        return Difference(delta, None)
    return Difference(delta, math.hypot(cell.deviation, baseline.deviation))


def chance(n: int) -> float:
    """How often two cells that are equally good differ by more than the spread, with n seeds each.

    For normal noise of one variance, |delta| > spread is |t| > sqrt(n) of Student's t with 2 (n - 1)
    degrees of freedom, an even number, for which the tail has a closed form (Abramowitz & Stegun 1964,
    26.7.4). It is 29 % for two seeds, 16 % for three, 6 % for five: the comparison is a weak test, and
    this says how weak.
    """
    freedom = 2 * (n - 1)
    angle = math.atan(math.sqrt(n / freedom))
    term = total = 1.0
    for i in range(1, freedom // 2):
        term *= (2 * i - 1) / (2 * i) * math.cos(angle) ** 2
        total += term
    return 1 - math.sin(angle) * total


def by_cell(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of every cell, cells in the order of their first row."""
    cells: dict[str, list[Row]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def spread_of(rows: Sequence[Row], name: str) -> Spread | None:
    """Mean and spread of a value; None unless every row has it."""
    if not all(name in row.values for row in rows):
        return None
    return summarize([row.values[name] for row in rows])


def as_csv(tables: dict[str, list[Row]]) -> str:
    """A line a run and table; what a run does not have stays empty."""
    names = list(dict.fromkeys(name for rows in tables.values() for row in rows for name in row.values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["equal", "cell", "hidden_size", "parameters", "seed", *names])
    for table, rows in tables.items():
        for row in rows:
            values = [row.values.get(name, "") for name in names]
            writer.writerow([table, row.cell, row.hidden_size, row.parameters, row.seed, *values])
    return file.getvalue()
