"""How captions of a split score against its references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from captioner.data.records import Record
from captioner.decoding.hypotheses import Hypothesis
from captioner.metrics.measure import Measure, Words
from captioner.metrics.statistics import Statistics
from captioner.metrics.table import SCORES, validated
from captioner.vocabulary import Vocabulary, tokenize


class References:
    """A split's reference captions, tokenized and indexed once for all captions that they will score.

    Args:
        records: the split's; captions of them come in the same order.
        vocabulary: that of the captions; references keep the unknown words.
    """

    def __init__(self, records: Sequence[Record], vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.words = [[tokenize(c, vocabulary.unit) for c in record.captions] for record in records]
        self._measures: dict[str, Measure] = {}  # by module

    def scores(
        self, hypotheses: Sequence[Hypothesis], names: Iterable[str] | None = None
    ) -> dict[str, float]:
        """Scores of our own words, in the table's order.

        Args:
            names: which; those of COCO's evaluation code among them are passed over. None: all.
        """
        wanted = set(validated()) if names is None else set(names).intersection(validated())
        return self.scores_of([self.vocabulary.decode(h.words) for h in hypotheses], wanted)

    def scores_of(self, captions: Sequence[Words], names: Iterable[str]) -> dict[str, float]:
        """The same of captions in words."""
        wanted = set(names).intersection(validated())
        found: dict[str, float] = {}
        for name in SCORES:
            if name in wanted and name not in found:
                found |= self._measure(name)(captions)
        return {name: found[name] for name in SCORES if name in wanted}

    def statistics(self, captions: Sequence[Words], names: Iterable[str]) -> list[Statistics]:
        """What those of the scores ``names`` that are of our own words are computed from, if it is known."""
        of_modules = {SCORES[name].module: SCORES[name] for name in names if SCORES[name].module is not None}
        found = (score.statistics(captions, self.words) for score in of_modules.values())
        return [statistics for statistics in found if statistics is not None]

    def _measure(self, name: str) -> Measure:
        module = str(SCORES[name].module)
        if module not in self._measures:
            self._measures[module] = SCORES[name].against(self.words)
        return self._measures[module]
