"""BLEU (Papineni et al. 2002) over a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from captioner.errors import CaptionerError
from captioner.metrics.measure import Measure, References
from captioner.metrics.nltk_bleu import closest_ref_length, modified_precision
from captioner.metrics.statistics import Statistics

ORDERS = (1, 2, 3, 4)


def bleu(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> dict[str, float]:
    """Corpus BLEU-1 to BLEU-4 (Papineni et al. 2002), each between 0 and 1.

    Counts are summed over the corpus before dividing. NLTK counts the matches, but its
    ``corpus_bleu`` is not used: it takes a hypothesis that is too short to hold any n-gram for one
    that holds a wrong one, and warns where the score is 0. The result is the standard one, which
    COCO's evaluation code gives too, apart from the tiny numbers it adds against dividing by 0.

    Args:
        hypotheses: the words of one caption per image; it may be empty.
        references: for each image the words of one or more captions.

    Raises:
        CaptionerError: there is nothing to score, or an image without reference.
    """
    return statistics(hypotheses, references).corpus()


def statistics(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> Statistics:
    """What :func:`bleu` is computed from, ten numbers per image.

    They are the matched n-grams for n = 1 to 4, the n-grams that there are, the length, and the length of the
    reference that comes nearest.

    Raises:
        CaptionerError: as :func:`bleu`.
    """
    check_scorable(hypotheses, references)
    rows = []
    for hypothesis, alternatives in zip(hypotheses, references, strict=True):
        matched = [modified_precision(alternatives, hypothesis, n).numerator for n in ORDERS]
        possible = [max(0, len(hypothesis) - n + 1) for n in ORDERS]
        nearest = closest_ref_length(alternatives, len(hypothesis))
        rows.append([*matched, *possible, len(hypothesis), nearest])
    return Statistics(np.array(rows, float), bleu_of)


def bleu_of(sums: np.ndarray) -> dict[str, np.ndarray]:
    """BLEU-1 to BLEU-4, each ``(...)``, of sums of :func:`statistics` over images, ``(..., 10)``."""
    matched, possible, (length, nearest) = sums[..., :4], sums[..., 4:8], np.moveaxis(sums[..., 8:], -1, 0)
    precision = np.divide(matched, possible, out=np.zeros_like(matched), where=matched > 0)
    # a caption without words matches nothing, so its penalty does not count
    shortfall = 1 - np.divide(nearest, length, out=np.ones_like(length), where=length > 0)
    penalty = np.exp(np.minimum(0, shortfall))
    return {f"BLEU-{n}": penalty * precision[..., :n].prod(-1) ** (1 / n) for n in ORDERS}


def against(references: References) -> Measure:
    """:func:`bleu` with these references."""
    return partial(bleu, references=references)


def check_scorable(hypotheses: Sequence[object], references: Sequence[Sequence[object]]) -> None:
    """Refuse what no metric is defined for.

    Raises:
        CaptionerError: there is nothing to score, or an image without reference.
    """
    if not hypotheses:
        raise CaptionerError("scores: there is no caption to score")
    if len(hypotheses) != len(references):
        counts = f"{len(hypotheses)} captions but references for {len(references)} images"
        raise CaptionerError(f"scores: there are {counts}")
    for i, alternatives in enumerate(references):
        if not alternatives:
            raise CaptionerError(f"scores: image {i} (counted from 0) has no reference caption")
