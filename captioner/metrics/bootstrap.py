"""The bootstrap over images (Efron 1979): how far a number would move if other images had been drawn.

As many images as there are, drawn with replacement, stand for another sample of them. What is resampled are
sums over images, so that a mean, a ratio and corpus BLEU are all functions of what :func:`resampled` gives.
Two systems are compared on the same draws (the paired bootstrap; Koehn 2004 for BLEU), which takes out what
makes an image hard for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.metrics.statistics import Statistics

Interval = tuple[float, float]  # low and high end

RESAMPLES = 10_000
LEVEL = 0.95
AT_ONCE = 2**22  # images drawn at a time, which bounds the memory


def resampled(values: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Sums over drawn images: ``(images, numbers)`` to ``(resamples, numbers)``.

    The draws depend on the number of images alone, so that they are the same for two systems.
    """
    images, random = len(values), np.random.default_rng(0)
    sums = np.empty((resamples, values.shape[1]))
    rows = max(1, AT_ONCE // images)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = random.integers(images, size=(stop - start, images), dtype=np.int32)
        place = drawn + images * np.arange(stop - start)[:, None]
        times = np.bincount(place.ravel(), minlength=(stop - start) * images)
        sums[start:stop] = times.reshape(-1, images).astype(float) @ values
    return sums


def interval(found: np.ndarray) -> Interval:
    """The middle 95 % of what a bootstrap found, ``(resamples,)``."""
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def leaves_out_zero(span: Interval) -> bool:
    """Whether a difference with this interval is one that other images would be expected to show too."""
    return not span[0] <= 0 <= span[1]


@dataclass(frozen=True)
class Difference:
    """How far one system's score is from another's on the same images.

    Attributes:
        delta: the first's minus the second's.
        interval: 95 % bootstrap interval of delta over images; None for a single image.
    """

    delta: float
    interval: Interval | None

    @property
    def shown(self) -> bool:
        """Whether there is an interval, and it leaves out 0."""
        return self.interval is not None and leaves_out_zero(self.interval)


def resampled_scores(statistics: Sequence[Statistics]) -> dict[str, np.ndarray]:
    """Every score on the drawn images, ``(resamples,)`` by name, the same draws for all."""
    if not statistics:
        return {}
    sums = resampled(np.concatenate([part.values for part in statistics], axis=1))
    ends = np.cumsum([part.values.shape[1] for part in statistics])
    of_parts = zip(statistics, np.split(sums, ends[:-1], axis=1))
    return {name: found for part, of_part in of_parts for name, found in part.scores_of(of_part).items()}


def intervals(statistics: Sequence[Statistics]) -> dict[str, Interval]:
    """The 95 % interval of every score over images; none if there is but one image."""
    if any(len(part.values) < 2 for part in statistics):
        return {}
    return {name: interval(found) for name, found in resampled_scores(statistics).items()}


def differences(ours: Sequence[Statistics], theirs: Sequence[Statistics]) -> dict[str, Difference]:
    """How the scores that both have differ; the images are the same, in the same order."""
    corpus, other = ({k: v for part in of for k, v in part.corpus().items()} for of in (ours, theirs))
    found: dict[str, Interval] = {}
    if all(len(part.values) > 1 for part in ours):
        first, second = resampled_scores(ours), resampled_scores(theirs)
        found = {name: interval(first[name] - second[name]) for name in first if name in second}
    return {n: Difference(corpus[n] - other[n], found.get(n)) for n in corpus if n in other}
