"""What a split holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from captioner.data.records import Record
from captioner.vocabulary import tokenize


class Lengths(NamedTuple):
    """How long captions are, in words."""

    min: int
    median: float
    p95: int
    max: int


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds, apart from the entries that have a fault.

    Attributes:
        per_image: the fewest and the most captions of an image.
        cut: captions longer than training's longest.
        words, different_words: how many there are.
        unknown: words that are not in the vocabulary, which is counted on the training split.
        known_different: different words that are in the vocabulary.
    """

    images: int
    captions: int
    per_image: tuple[int, int]
    lengths: Lengths
    cut: int
    words: int
    different_words: int
    unknown: int
    known_different: int


def summary(records: Sequence[Record], known: set[str], unit: str, longest: int) -> SplitSummary:
    """Count what a split holds.

    Args:
        records: at least one.
        known: the vocabulary's words.
        unit: what captions are split into.
        longest: words of a caption that training keeps.
    """
    counts: Counter[str] = Counter()
    lengths = []
    for record in records:
        for caption in record.captions:
            words = tokenize(caption, unit)
            counts.update(words)
            lengths.append(len(words))
    lengths.sort()
    per_image = [len(record.captions) for record in records]
    return SplitSummary(
        images=len(records),
        captions=len(lengths),
        per_image=(min(per_image), max(per_image)),
        lengths=Lengths(lengths[0], median(lengths), lengths[-(-95 * len(lengths) // 100) - 1], lengths[-1]),
        cut=sum(length > longest for length in lengths),
        words=sum(lengths),
        different_words=len(counts),
        unknown=sum(n for word, n in counts.items() if word not in known),
        known_different=sum(word in known for word in counts),
    )
