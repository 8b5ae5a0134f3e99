"""The textbook equations (``benchmarks/textbook.py``) of one caption of one image."""

from __future__ import annotations

from itertools import product

import textbook
import torch


def read(decoder, annotations, words):
    """Logits ``(steps, vocabulary)`` and alphas ``(steps, locations)`` when an image's ``words`` are read."""
    reading = textbook.read(decoder, annotations[None], torch.tensor([words]))
    return textbook.Reading(*(part[0] for part in reading))


def expected_log_likelihood(decoder, annotations, words):
    """L_s = sum_s p(s | a) log p(y | s, a) (Xu et al. 2015, equation 10) over all paths s of locations."""
    paths = torch.tensor(list(product(range(len(annotations)), repeat=len(words))))
    captions = torch.tensor([words]).expand(len(paths), -1)
    annotations = annotations.expand(len(paths), *annotations.shape)
    logits, alphas = textbook.read(decoder, annotations, captions, paths)
    probability = alphas.gather(2, paths[:, :, None]).prod(dim=1).squeeze(1)
    log_likelihood = logits.log_softmax(2).gather(2, captions[:, :, None]).sum(dim=(1, 2))
    return probability @ log_likelihood
