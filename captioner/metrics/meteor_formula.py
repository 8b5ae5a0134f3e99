"""METEOR 1.5 (Denkowski and Lavie 2014) from the counts that its program gives of every image.

The program aligns words and counts; a corpus is scored by the sums of the counts. With the formula here, sums
over any choice of images are scored without the program. It is used only where it gives the program's own
numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from captioner.metrics.meteor import Meteor
from captioner.metrics.statistics import Statistics

COUNTS = 23
NEAR = 1e-6


class Parameters(NamedTuple):
    """The paper's alpha, beta, gamma, delta, and w of exact, stem, synonym and paraphrase matches."""

    alpha: float
    beta: float
    gamma: float
    delta: float
    weights: tuple[float, float, float, float]


ENGLISH = Parameters(0.85, 0.2, 0.6, 0.75, (1, 0.6, 0.8, 0.6))
OTHER = Parameters(0.75, 1.4, 0.7, 0.5, (1, 1, 1, 1))  # all matches are exact


def meteor_of(counts: np.ndarray, p: Parameters) -> np.ndarray:
    """METEOR of counts, or of sums of them, ``(..., 23)`` to ``(...)``.

    P and R are the matched share of the caption's and of the reference's words, where content words weigh
    delta and function words 1 - delta; F = P R / (alpha P + (1 - alpha) R). The words matched, m, stand in ch
    chunks of the same order in both: METEOR = (1 - gamma (ch / m)^beta) F. A caption that equals its
    reference has no chunk.

    The counts are the caption's and the reference's words, their function words, for each kind of match the
    matched content words of both and the matched function words of both, chunks, and all matched words of
    both.
    """
    words, of_function = counts[..., 0:2], counts[..., 2:4]
    matched = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 2, 2)  # kind, content or function, which text
    chunks, matches = counts[..., 20], counts[..., 21:23]
    content, function = np.moveaxis(matched, -2, 0)
    weighted = p.delta * content + (1 - p.delta) * function
    total = p.delta * (words - of_function) + (1 - p.delta) * of_function
    shares = _over((np.array(p.weights)[:, None] * weighted).sum(-2), total)
    precision, recall = shares[..., 0], shares[..., 1]
    f = _over(precision * recall, p.alpha * precision + (1 - p.alpha) * recall)
    return (1 - p.gamma * _over(chunks, matches.mean(-1)) ** p.beta) * f


def meteor_statistics(found: Meteor, english: bool) -> Statistics | None:
    """The counts with the formula; None where it does not give what the program gave."""
    parameters = ENGLISH if english else OTHER
    if found.counts.shape[-1] != COUNTS:
        return None
    counts = found.counts.copy()
    equal = (counts[:, 21:23] == counts[:, 0:2]).all(-1) & (counts[:, 20] == 1)
    counts[equal, 20] = 0  # the program counts one, and leaves it out of every sum
    corpus, images = meteor_of(counts.sum(0), parameters), meteor_of(counts, parameters)
    if abs(corpus - found.corpus) > NEAR or np.abs(images - found.images).max() > NEAR:
        return None
    return Statistics(counts, lambda sums: {"METEOR": meteor_of(sums, parameters)})


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotient, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
