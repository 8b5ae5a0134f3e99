"""BLEU (Papineni et al. 2002) over a corpus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from captioner.errors import CaptionerError
from captioner.metrics.measure import Measure, References
from captioner.metrics.nltk_bleu import brevity_penalty, closest_ref_length, modified_precision

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
    check_scorable(hypotheses, references)
    matches, possible = dict.fromkeys(ORDERS, 0), dict.fromkeys(ORDERS, 0)
    length = reference_length = 0
    for hypothesis, alternatives in zip(hypotheses, references, strict=True):
        for n in ORDERS:
            matches[n] += modified_precision(alternatives, hypothesis, n).numerator
            possible[n] += max(0, len(hypothesis) - n + 1)
        length += len(hypothesis)
        reference_length += closest_ref_length(alternatives, len(hypothesis))

    penalty = brevity_penalty(reference_length, length)
    scores = {}
    for n in ORDERS:
        precisions = [matches[k] / possible[k] if matches[k] else 0.0 for k in range(1, n + 1)]
        scores[f"BLEU-{n}"] = penalty * math.prod(precisions) ** (1 / n)
    return scores


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
