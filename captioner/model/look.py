"""What the decoder sees at one look: the expectation over all locations, or one of them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from captioner.config.model import INFERENCE
from captioner.errors import CaptionerError, check_choice
from captioner.kernels.precision import at_least_float32
from captioner.model.memory import Glimpse, Memory
from captioner.model.rows import Rows


class Look(Protocol):
    """From attention weights to a context."""

    @property
    def inference(self) -> str | None:
        """How a trained model chooses its location, of ``INFERENCE``; None where it takes none."""

    @property
    def draws(self) -> bool:
        """Whether a trained model may look elsewhere on the next call."""

    def expected(self, images: int, device: torch.device) -> Tensor | None:
        """In training, which images take the expectation, ``(images,)``; None where nothing is sampled."""

    def begin_epoch(self, done: float) -> None:
        """Adapt to the share of the training that is over."""

    def infer_by(self, inference: str) -> None:
        """Choose the location of a trained model in another way.

        Raises:
            CaptionerError: there is no such way, or the attention is soft.
        """

    def __call__(self, alpha: Tensor, memory: Memory, rows: Rows) -> Glimpse:
        """Look with attention weights ``(images, width, locations)``."""


class SoftLook:
    """Deterministic "soft" attention (section 4.2): z = sum_i alpha_i a_i."""

    inference = None
    draws = False

    def expected(self, images: int, device: torch.device) -> None:
        return None

    def begin_epoch(self, done: float) -> None:
        pass

    def infer_by(self, inference: str) -> None:
        check_choice(inference, INFERENCE, "inference")
        raise CaptionerError(f"inference: {inference} is for hard attention, and this model's is soft")

    def __call__(self, alpha: Tensor, memory: Memory, rows: Rows) -> Glimpse:
        context = memory.values(alpha)
        return Glimpse(rows.collect(context), rows.collect(alpha))


class HardLook:
    """Stochastic "hard" attention (section 4.1): z = a_i, the location i drawn from alpha.

    Training draws a location, or with some probability an image takes the expectation instead; the loss
    adds the REINFORCE term. Locations drawn from the start are noise to the decoder, which learns to write
    without them, so the first epochs take the expectation alone.

    Args:
        inference: the location of a trained model: the most likely one (``argmax``), a drawn one
            (``sample``), or the ``expectation``, which is soft attention's context.
        expectation_probability: how often training replaces a sample by its expectation.
        soft_start: share of the training, its beginning, in which it always does.
    """

    def __init__(
        self, inference: str = "argmax", expectation_probability: float = 0.5, soft_start: float = 0.0
    ) -> None:
        self.infer_by(inference)
        self.expectation_probability = expectation_probability
        self.soft_start = soft_start
        self.begin_epoch(1.0)

    @property
    def draws(self) -> bool:
        return self.inference == "sample"

    def expected(self, images: int, device: torch.device) -> Tensor:
        probability = 1.0 if self._soft else self.expectation_probability
        return torch.rand(images, device=device) < probability

    def begin_epoch(self, done: float) -> None:
        self._soft = done < self.soft_start

    def infer_by(self, inference: str) -> None:
        check_choice(inference, INFERENCE, "attention.inference")
        self.inference = inference

    def __call__(self, alpha: Tensor, memory: Memory, rows: Rows) -> Glimpse:
        context = rows.collect(memory.values(alpha))
        alpha = rows.collect(alpha)
        training = memory.expected is not None
        if not training and self.inference == "expectation":
            return Glimpse(context, alpha)
        if not training and self.inference == "argmax":
            location = alpha.argmax(dim=-1)
        else:
            location = drawn(alpha.detach().float(), memory.generator)
        there = memory.values.at(rows.owner, location)
        if memory.expected is None:
            return Glimpse(there, alpha)
        log_alpha = at_least_float32(alpha).clamp_min(1e-20).log()
        expected = memory.expected[rows.owner]
        log_prob = log_alpha.gather(-1, location[:, None]).squeeze(-1).masked_fill(expected, 0.0)
        context = torch.where(expected[:, None], context, there)
        return Glimpse(context, alpha, log_prob, -(alpha * log_alpha).sum(-1))


def drawn(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A location per row ``(rows,)``, each with its weight of ``(rows, locations)`` as probability.

    The first of independent exponential clocks that run at these rates rings there. These are the draws of
    torch.multinomial, which also looks whether the weights are right: on a GPU a wait for every word.
    """
    return (weights / torch.empty_like(weights).exponential_(generator=generator)).argmax(dim=-1)
