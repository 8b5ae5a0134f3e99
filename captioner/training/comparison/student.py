"""Student's t distribution, for means of a few seeds (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from captioner.metrics.bootstrap import LEVEL, Interval


def beyond(t: float, freedom: int) -> float:
    """How often \\|T\\| exceeds t, with so many degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    inside = math.sin(angle) * total
    return 1 - (2 / math.pi * (angle + inside) if odd else inside)


def interval_of_mean(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of the mean that independent normal values were drawn from; None for a single one."""
    if len(values) < 2:
        return None
    low, high = 0.0, 100.0  # 12.7 is the widest, for two values
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle, len(values) - 1) > 1 - LEVEL else (low, middle)
    half = high * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half
