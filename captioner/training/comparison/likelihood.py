"""The likelihood of a split's captions under a trained model."""

from __future__ import annotations

import torch

from captioner.features.captioned import CaptionedSplit
from captioner.model.captioner import Captioner
from captioner.model.rows import Captions


@torch.no_grad()
def mean_nll(model: Captioner, split: CaptionedSplit, device: torch.device, batch_size: int = 32) -> float:
    """Negative log likelihood in nats per word, teacher-forced, without dropout or label smoothing.

    It is a mean over the words of all captions of all photos, each caption's ``<end>`` counted as a word.

    Args:
        batch_size: images.
    """
    model.eval()
    total, words = 0.0, 0
    for start in range(0, len(split.photos), batch_size):
        rows = range(start, min(start + batch_size, len(split.photos)))
        batch = Captions.build([split.captions[i] for i in rows]).to(device)
        unrolled = model(split.features(rows).to(device), batch)
        _, nll = model.decoder.word_loss(unrolled)
        total, words = total + nll.sum().item(), words + len(nll)
    return total / words
