"""Whether maps that are far from their caption's mean map are the better ones: grid pointing in three bands.

A page draws words quiet whose maps are less apart than the first edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

EDGES = (0.15, 0.2)  # of the total variation distance between a word's map and its caption's mean map


@dataclass(frozen=True)
class Band:
    """Words whose maps are about as far apart from the mean map of their caption.

    Attributes:
        low, high: total variation distances; from ``low`` to below ``high``, which is None in the last band.
        words: how many there are.
        peak: share of their maps whose highest cell lies in the word's own quadrant; None without words.
        interval: of ``peak``, 95 % by bootstrap over mosaics; likewise.
        mass: share of the attention in the own quadrant; likewise.
    """

    low: float
    high: float | None
    words: int
    peak: float | None
    interval: tuple[float, float] | None
    mass: float | None


def bands(
    apart: Tensor,
    peak: Tensor,
    mass: Tensor,
    mosaic: Tensor,
    interval: Callable[[Tensor, Tensor], tuple[float, float]],
) -> tuple[Band, ...]:
    """The words of every band, the nearest to the mean map first.

    Args:
        apart: of each word's map, ``(words,)``; NaN, and in no band, where there was no other map.
        peak, mass: in the own quadrant, ``(words,)``.
        mosaic: number of each word's.
        interval: of the mean of some words' values, whose mosaics are drawn again.
    """
    found = []
    for low, high in zip((0.0, *EDGES), (*EDGES, None)):
        here = (apart >= low) & (apart < (float("inf") if high is None else high))
        if not here.any():
            found.append(Band(low, high, 0, None, None, None))
            continue
        of_peak = interval(peak[here], mosaic[here])
        means = float(peak[here].mean()), float(mass[here].mean())
        found.append(Band(low, high, int(here.sum()), means[0], of_peak, means[1]))
    return tuple(found)
