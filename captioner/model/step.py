"""What the decoder's steps give, one at a time or those of whole captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.model.rows import Captions


class Step(NamedTuple):
    """What came of one step, a row per caption or beam; or of many steps, one after another.

    Attributes:
        embedding: E y of the previous word, ``(rows, embedding_size)``.
        hidden: h, ``(rows, hidden_size)``.
        context: beta z, ``(rows, features)``.
        alpha: attention weights, ``(rows, locations)``.
        beta: how much the image counts, ``(rows,)``: the gate, its mean where it is a vector, or what the
            sentinel's weight leaves; None without either.
        log_prob_drawn, entropy, dense_alpha: as in :class:`captioner.model.memory.Glimpse`.
        seen: what the cell read beside the word, ``(rows, features)``, where that is not ``context``; None in
            teacher forcing.
        sentinel: the sentinel times its weight, ``(rows, hidden_size)``; None without one.
    """

    embedding: Tensor
    hidden: Tensor
    context: Tensor
    alpha: Tensor
    beta: Tensor | None
    log_prob_drawn: Tensor | None = None
    entropy: Tensor | None = None
    dense_alpha: Tensor | None = None
    seen: Tensor | None = None
    sentinel: Tensor | None = None

    @classmethod
    def cat(cls, steps: Sequence[Step]) -> Step:
        """Several steps in one, the rows of each after those of the one before."""
        embedding, hidden, context, alpha, *others = zip(*steps)
        whole = (torch.cat(parts) for parts in (embedding, hidden, context, alpha))
        return cls(*whole, *(None if parts[0] is None else torch.cat(parts) for parts in others))


class Unrolled(NamedTuple):
    """A teacher-forced pass.

    Attributes:
        steps: of the words of all captions, step after step; ``rows`` are words.
        targets: the word that each should predict, ``(words,)``.
        captions: the captions that were read.
    """

    steps: Step
    targets: Tensor
    captions: Captions

    @property
    def coverage(self) -> Tensor:
        """Attention summed over a caption's steps, ``(captions, locations)``."""
        return self.captions.total(self.steps.alpha)
