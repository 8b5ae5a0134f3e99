"""Every score of captions, by name: what computes it, how it is shown, and where it is reported.

A new metric is a file in this folder with a function ``against`` and one line in :data:`SCORES`. With a
function ``statistics`` it gets an interval, and a value for each image. Validation, evaluation, comparison
and ``training.select`` read the names here. Modules are named, not imported, so that reading the names does
not load numpy or NLTK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from captioner.metrics.measure import Measure, References, Words

if TYPE_CHECKING:
    from captioner.metrics.statistics import Statistics


@dataclass(frozen=True)
class Score:
    """One score; validation computes it if it is of our own words.

    Attributes:
        module: its function ``against`` takes :data:`References` and returns a :data:`Measure`. None: COCO's
            evaluation code computes the score from text, see ``captioner.metrics.coco``.
        scale: what a value is multiplied by in tables; 100 shows percent.
        decimals: of the scaled value in tables.
        selects: ``training.select`` may name it and the epoch line shows it; larger must be better.
        evaluated: ``captioner evaluate`` reports it.
        compared: ``captioner compare`` reports it.
    """

    module: str | None
    scale: float = 100
    decimals: int = 1
    selects: bool = True
    evaluated: bool = True
    compared: bool = True

    def against(self, references: References) -> Measure:
        """What measures captions against these references; costly preparation is done here, once."""
        assert self.module is not None, "COCO's evaluation code computes this score"
        measure: Measure = import_module(self.module).against(references)
        return measure

    def statistics(self, captions: Sequence[Words], references: References) -> Statistics | None:
        """What the scores of this module are computed from, per image; None if it does not say."""
        of_module = getattr(import_module(str(self.module)), "statistics", None)
        found: Statistics | None = None if of_module is None else of_module(captions, references)
        return found


SCORES = {
    "BLEU-1": Score("captioner.metrics.bleu", selects=False, compared=False),
    "BLEU-2": Score("captioner.metrics.bleu", selects=False, compared=False),
    "BLEU-3": Score("captioner.metrics.bleu", selects=False, compared=False),
    "BLEU-4": Score("captioner.metrics.bleu"),
    "CIDEr-D": Score("captioner.metrics.cider", evaluated=False, compared=False),
    "dangling": Score("captioner.metrics.dangling", selects=False, evaluated=False, compared=False),
    "METEOR": Score(None, selects=False, compared=False),
    "ROUGE-L": Score(None, selects=False, compared=False),
    "CIDEr": Score(None, selects=False),
}
WHILE_ZERO = ("BLEU-4", "BLEU-3", "BLEU-2", "BLEU-1")  # what ranks epochs that the selected score does not


def selectable() -> tuple[str, ...]:
    """Names of the scores that ``training.select`` may name."""
    return tuple(name for name, score in SCORES.items() if score.selects)


def validated() -> list[str]:
    """Names of the scores that validation computes: those of our own words."""
    return [name for name, score in SCORES.items() if score.module is not None]


def evaluated() -> list[str]:
    """Names of the scores that ``captioner evaluate`` reports."""
    return [name for name, score in SCORES.items() if score.evaluated]


def compared() -> list[str]:
    """Names of the scores that ``captioner compare`` reports."""
    return [name for name, score in SCORES.items() if score.compared]
