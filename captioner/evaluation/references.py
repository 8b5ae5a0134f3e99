"""How captions of a split score against its references."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from captioner.data.records import Record
from captioner.decoding.hypotheses import Hypothesis
from captioner.metrics.bleu import bleu
from captioner.metrics.cider import CiderD
from captioner.vocabulary import Vocabulary, tokenize

DANGLING = frozenset(("a", "an", "the", "of", "in", "with", "on", "and"))  # no English caption ends so


class References:
    """A split's reference captions, tokenized and indexed once for all captions that they will score.

    Args:
        records: the split's; captions of them come in the same order.
        vocabulary: that of the captions; references keep the words that it does not know.
    """

    def __init__(self, records: Sequence[Record], vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.words = [[tokenize(c, vocabulary.unit) for c in record.captions] for record in records]

    def scores(self, hypotheses: Sequence[Hypothesis]) -> dict[str, float]:
        """BLEU-1..4, CIDEr-D with our own words, and the share of captions that end in a dangling word."""
        captions = self._decoded(hypotheses)
        return {
            **bleu(captions, self.words),
            "CIDEr-D": float(self._cider.scores(captions, range(len(captions))).mean()),
            "dangling": dangling(captions) / len(captions),
        }

    def bleu(self, hypotheses: Sequence[Hypothesis]) -> dict[str, float]:
        """BLEU-1..4 alone."""
        return bleu(self._decoded(hypotheses), self.words)

    @cached_property
    def _cider(self) -> CiderD:
        return CiderD(self.words)

    def _decoded(self, hypotheses: Sequence[Hypothesis]) -> list[list[str]]:
        return [self.vocabulary.decode(h.words) for h in hypotheses]


def dangling(captions: Sequence[Sequence[str]]) -> int:
    """How many captions break off after an article or a preposition."""
    return sum(caption[-1] in DANGLING for caption in captions if caption)
