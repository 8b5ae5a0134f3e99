"""Repeated runs of several cells in numbers: means, spreads, and differences against them."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from captioner.metrics.bleu import bleu_of
from captioner.metrics.bootstrap import Interval, leaves_out_zero, resampled_scores
from captioner.metrics.statistics import Statistics, mean_of
from captioner.training.comparison.student import beyond, interval_of_mean

BASELINE = "lstm"  # what every other cell is compared with
TRAINING = "training"  # what is missing of a run that diverged
LABELS = {"train_nll": "train NLL", "dev_nll": "dev NLL", "words_per_second": "words/s"}


@dataclass(frozen=True)
class Row:
    """What one run gave.

    Attributes:
        parameters: weights of the decoder.
        values: by name: words_per_second, the scores that are compared (0 to 1, CIDEr can pass it), train_nll
            and dev_nll (nats per word), gradient_0 to gradient_15 (see ``gradient_reach``).
        missing: what could not be measured, each with the reason or the way to get it; ``TRAINING`` where the
            run diverged, and then there are no values.
        images: what scores are computed from, a row per image: ``BLEU``, and scores that are means by their
            names; empty for runs of before.
    """

    cell: str
    hidden_size: int
    parameters: int
    seed: int
    values: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict)
    images: dict[str, list[list[float]]] = field(default_factory=dict)


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
        interval: 95 % bootstrap interval of delta over the dev images, the runs being what they are; None for
            what is not a score of images.
        by_seed: the cell's value minus the baseline's of the same seed, where both have the same seeds; the
            seed sets the order of the images and the encoder's first weights too, which takes these out.
    """

    delta: float
    spread: float | None
    interval: Interval | None = None
    by_seed: tuple[float, ...] = ()

    @property
    def larger(self) -> bool | None:
        """Whether the difference is larger than the spread between seeds; None: unknown."""
        return None if self.spread is None else abs(self.delta) > self.spread

    @property
    def over_seeds(self) -> Interval | None:
        """95 % interval of the mean of ``by_seed`` by Student's t; None for fewer than two seeds."""
        return interval_of_mean(self.by_seed)

    @property
    def agreed(self) -> bool:
        """Whether the cell is on the same side of the baseline with each of at least two seeds."""
        return len(self.by_seed) > 1 and (min(self.by_seed) > 0 or max(self.by_seed) < 0)

    @property
    def real(self) -> bool:
        """Whether the interval over seeds leaves out 0, and that over images too if there is one."""
        spans = [self.over_seeds, *([] if self.interval is None else [self.interval])]
        return all(span is not None and leaves_out_zero(span) for span in spans)


Differences = dict[str, dict[str, Difference]]  # by cell and value


def difference(
    cell: Spread, baseline: Spread, interval: Interval | None = None, by_seed: Sequence[float] = ()
) -> Difference:
    """The cell's mean against the baseline's, with the spread between seeds."""
    spread = None
    if cell.deviation is not None and baseline.deviation is not None:
        spread = math.hypot(cell.deviation, baseline.deviation)
    return Difference(cell.mean - baseline.mean, spread, interval, tuple(by_seed))


def paired_by_seed(cell: Sequence[Row], baseline: Sequence[Row], name: str) -> list[float]:
    """The cell's value minus the baseline's of the same seed; empty unless both have the same seeds."""
    ours, theirs = ({row.seed: row.values.get(name) for row in rows} for rows in (cell, baseline))
    if set(ours) != set(theirs):
        return []
    pairs = [(ours[seed], theirs[seed]) for seed in ours]
    return [a - b for a, b in pairs if a is not None and b is not None]


def numbers_of_images(statistics: Sequence[Statistics]) -> dict[str, list[list[float]]]:
    """What a :class:`Row` keeps of the images."""
    found: dict[str, list[list[float]]] = {}
    for part in statistics:
        if part.scores_of is bleu_of:
            found["BLEU"] = part.values.tolist()
        elif part.values.shape[1] == 2:  # a mean
            found |= {name: part.values.tolist() for name in part.corpus()}
    return found


def over_images(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The mean over runs of every score that all have, on resampled images, ``(resamples,)``."""
    each = [_resampled_scores(row) for row in rows]
    return {
        name: np.mean([of_run[name] for of_run in each], axis=0) for name in set.intersection(*map(set, each))
    }


def _resampled_scores(row: Row) -> dict[str, np.ndarray]:
    if not all(len(values) > 1 for values in row.images.values()):
        return {}
    of_sums = {name: bleu_of if name == "BLEU" else mean_of(name) for name in row.images}
    return resampled_scores([Statistics(np.array(v), of_sums[name]) for name, v in row.images.items()])


def chance(n: int) -> float:
    """How often two cells that are equally good differ by more than the spread, with n seeds each.

    For normal noise of one variance, |delta| > spread is |t| > sqrt(n) of Student's t with 2 (n - 1)
    degrees of freedom. It is 29 % for two seeds, 16 % for three, 6 % for five: the comparison is a weak
    test, and this says how weak.
    """
    return beyond(math.sqrt(n), 2 * (n - 1))


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
