"""The likelihood of a split's captions under a trained model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from captioner.features.split import Split, gather
from captioner.model.captioner import Captioner
from captioner.model.rows import Captions


@torch.no_grad()
def mean_nll(
    model: Captioner,
    split: Split,
    captions: Sequence[Sequence[Sequence[int]]],
    device: torch.device,
    batch_size: int = 32,
) -> float:
    """Negative log likelihood in nats per word, teacher-forced, without dropout or label smoothing.

    It is a mean over the words of all captions of all images, each caption's ``<end>`` counted as a word.

    Args:
        captions: what ``encode_captions`` made of the split's records.
        batch_size: images.
    """
    model.eval()
    total, words = 0.0, 0
    for start in range(0, len(split), batch_size):
        rows = range(start, min(start + batch_size, len(split)))
        batch = Captions.build([captions[i] for i in rows]).to(device)
        unrolled = model(gather(split.features, rows).to(device), batch)
        _, nll = model.decoder.word_loss(unrolled)
        total, words = total + nll.sum().item(), words + len(nll)
    return total / words
