"""Several decoders that write one caption together, by the mean of their word probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.model.attention import Memory
from captioner.model.cells import State
from captioner.model.decoder import Decoder
from captioner.model.rows import Rows
from captioner.model.step import Step


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
        decoders: the members.
        one_grid: whether the annotations of all stand for the same places. Where the ensemble looks, and how
            far its gate is open, is then the mean over the members (no gate unless all have one), otherwise
            what it is for the first one.
    """

    def __init__(self, decoders: Sequence[Decoder], one_grid: bool = False) -> None:
        self.decoders = tuple(decoders)
        self.one_grid = one_grid

    def begin(
        self, annotations: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> tuple[Memories, State]:
        """The members' memories, and their initial states one after another, from each one's annotations."""
        begun = [d.begin(a, generator) for d, a in zip(self.decoders, annotations, strict=True)]
        return Memories(tuple(memory for memory, _ in begun)), tuple(s for _, state in begun for s in state)

    def predict(
        self, words: Tensor, state: State, memory: Memories, rows: Rows
    ) -> tuple[Tensor, Step, State]:
        """Log of the members' mean probability of every next word, and where they looked."""
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
        if len(predictions) > 1 and self.one_grid:
            alphas, betas = zip(*((step.alpha.float(), step.beta) for _, step in predictions))
            gates = [beta.float() for beta in betas if beta is not None]
            beta = torch.stack(gates).mean(0) if len(gates) == len(betas) else None
            step = step._replace(alpha=torch.stack(alphas).mean(0), beta=beta)
        return log_probs, step, following
