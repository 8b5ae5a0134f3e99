"""Free-running captions of a split, and how they score against its references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from tqdm import tqdm

from captioner.config import SEARCHED_TOGETHER, SearchConfig
from captioner.data.batches import Split
from captioner.data.records import Record
from captioner.ensemble import Ensemble
from captioner.hypotheses import Hypothesis
from captioner.metrics.bleu import bleu
from captioner.metrics.cider import CiderD
from captioner.model import Captioner
from captioner.search import search
from captioner.vocabulary import Vocabulary, tokenize

DANGLING = frozenset(("a", "an", "the", "of", "in", "with", "on", "and"))  # no English caption ends so


def caption_split(
    model: Captioner,
    split: Split,
    options: SearchConfig,
    device: torch.device,
    batch_size: int = SEARCHED_TOGETHER,
    progress: bool = False,
    after_batch: Callable[[], None] = lambda: None,
) -> list[Hypothesis]:
    """The best hypothesis for every image of the split; the references are never looked at."""
    return caption_together([model], [split], options, device, batch_size, progress, after_batch)


@torch.inference_mode()
def caption_together(
    models: Sequence[Captioner],
    splits: Sequence[Split],
    options: SearchConfig,
    device: torch.device,
    batch_size: int = SEARCHED_TOGETHER,
    progress: bool = False,
    after_batch: Callable[[], None] = lambda: None,
    attention: bool = False,
) -> list[Hypothesis]:
    """The same of an ensemble; ``splits`` hold the same images with each member's features.

    With ``attention`` the hypotheses bring their attention weights.
    """
    ensemble = Ensemble([model.eval().decoder for model in models])
    best = []
    batches = tqdm(
        zip(*(split.batches(batch_size) for split in splits)),
        "captioning",
        total=-(-len(splits[0]) // batch_size),
        unit="batch",
        leave=False,
        disable=not progress,
    )
    for features in batches:
        annotations = [m.encoder.tail(part.to(device)) for m, part in zip(models, features)]
        found = search(ensemble, annotations, options, attention)
        best += [hypotheses[0] for hypotheses in found]
        after_batch()
    return best


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
