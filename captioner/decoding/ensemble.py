"""Several decoders that write one caption together, by the mean of their word probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.model.attention import Memory
from captioner.model.cells import State
from captioner.model.decoder import Decoder, Step
from captioner.model.rows import Rows


class Memories(NamedTuple):
    """What each member keeps about a batch of images."""

    members: tuple[Memory, ...]

    def select(self, images: Tensor) -> Memories:
        """The memories of some of the images, by index."""
        return Memories(tuple(memory.select(images) for memory in self.members))


class Ensemble:
    """Decoders with one vocabulary, for :func:`captioner.decoding.search.search`.

    They may differ in encoder, grid, cell and width. An ensemble of one is its member.

    Args:
        decoders: the members; where the ensemble looks is where the first one does.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.decoders = tuple(decoders)

    def begin(
        self, annotations: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> tuple[Memories, State]:
        """The members' memories, and their initial states one after another, from each one's annotations."""
        begun = [d.begin(a, generator) for d, a in zip(self.decoders, annotations, strict=True)]
        return Memories(tuple(memory for memory, _ in begun)), tuple(s for _, state in begun for s in state)

    def predict(
        self, words: Tensor, state: State, memory: Memories, rows: Rows
    ) -> tuple[Tensor, Step, State]:
        """Log of the members' mean probability of every next word, and the first member's step."""
        predictions, start = [], 0
        following: State = ()
        for decoder, of_member in zip(self.decoders, memory.members):
            own = state[start : start + decoder.cell.states]
            log_probs, step, own = decoder.predict(words, own, of_member, rows)
            predictions.append((log_probs, step))
            following, start = (*following, *own), start + decoder.cell.states
        log_probs, step = predictions[0]
        if len(predictions) > 1:
            log_probs = torch.stack([log_probs for log_probs, _ in predictions]).logsumexp(dim=0)
            log_probs -= math.log(len(predictions))
        return log_probs, step, following
