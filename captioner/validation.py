"""Free-running captions of a split, and how they score against its references."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tqdm import tqdm

from captioner.config import SearchConfig
from captioner.data.batches import Split
from captioner.data.records import Record
from captioner.hypotheses import Hypothesis
from captioner.metrics import bleu
from captioner.model import Captioner
from captioner.search import search
from captioner.vocabulary import Vocabulary, tokenize


@torch.inference_mode()
def caption_split(
    model: Captioner,
    split: Split,
    options: SearchConfig,
    device: torch.device,
    batch_size: int = 64,
    progress: bool = False,
    attention: bool = False,
) -> list[Hypothesis]:
    """The best hypothesis for every image of the split; the references are never looked at.

    With ``attention`` they bring their attention weights.
    """
    model.eval()
    best = []
    batches = tqdm(
        split.batches(batch_size),
        "captioning",
        total=-(-len(split) // batch_size),
        unit="batch",
        leave=False,
        disable=not progress,
    )
    for features in batches:
        annotations = model.encoder.tail(features.to(device))
        found = search(model.decoder, annotations, options, attention)
        best += [hypotheses[0] for hypotheses in found]
    return best


def score_bleu(
    hypotheses: Sequence[Hypothesis], records: Sequence[Record], vocabulary: Vocabulary
) -> dict[str, float]:
    """BLEU-1..4 of the captions; references keep the words that the vocabulary does not know."""
    references = [[tokenize(c, vocabulary.unit) for c in record.captions] for record in records]
    return bleu([vocabulary.decode(h.words) for h in hypotheses], references)
