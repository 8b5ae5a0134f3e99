"""Where the decoder looks: soft and hard attention over an image's annotations (Xu et al. 2015, section 4).

Several captions or beams share an image, so everything that depends on the image alone is computed and
held once an image. ``Rows`` says which decoder row belongs to which image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.config.model import AttentionConfig, HardAttentionConfig
from captioner.errors import CaptionerError, check_choice, choose
from captioner.kernels.additive_scores import additive_scores, exponentials
from captioner.kernels.deferred_gradients import Uses
from captioner.kernels.linear import Linear, Weights
from captioner.kernels.precision import at_least_float32, operand
from captioner.kernels.tally import Tally
from captioner.kernels.weighted_sum import expectation
from captioner.model.rows import Rows


class Memory(NamedTuple):
    """What the decoder holds of a batch of images while it writes.

    Attributes:
        annotations: ``(images, locations, features)``.
        keys: their share of the scoring network, e^2(W_a a + b), ``(images, locations, size)``; see
            ``scoring``.
        tally: sums the keys' gradient over the steps.
        looks: the uses of the annotations by the steps.
        weights: the decoder's, as free-running steps multiply by them.
        expected: ``(images,)`` booleans, images whose sampled location is replaced by its expectation
            (hard attention in training only).
        generator: draws the locations of hard attention.
        deleted: ``(images, width, locations)`` booleans, locations that a row cannot look at; its
            attention is shared among the others as if they were all there is.
    """

    annotations: Tensor
    keys: Tensor
    tally: Tally
    looks: Uses
    weights: Weights
    expected: Tensor | None = None
    generator: torch.Generator | None = None
    deleted: Tensor | None = None

    def select(self, images: Tensor) -> Memory:
        """The memory of some of the images, by index."""
        expected = None if self.expected is None else self.expected[images]
        deleted = None if self.deleted is None else self.deleted[images]
        annotations, keys = self.annotations[images], self.keys[images]
        return self._replace(
            annotations=annotations,
            keys=keys,
            tally=Tally(),
            looks=Uses(),
            expected=expected,
            deleted=deleted,
        )


class Glimpse(NamedTuple):
    """One look at the image.

    Attributes:
        context: z, ``(rows, features)``.
        alpha: the attention distribution, ``(rows, locations)``.
        surprise: log probability of the location that was drawn, ``(rows,)``, zero where the expectation
            stood in for it; None unless hard attention is training.
        entropy: of alpha, ``(rows,)``; likewise.
    """

    context: Tensor
    alpha: Tensor
    surprise: Tensor | None = None
    entropy: Tensor | None = None


class SoftAttention(nn.Module):
    """Additive attention: alpha = softmax(v . tanh(W_a a + W_h h + b)), z = sum_i alpha_i a_i.

    Args:
        features: width of an annotation.
        hidden_size: width of the decoder's hidden state.
        size: width of the scoring network.
    """

    def __init__(self, features: int, hidden_size: int, size: int) -> None:
        super().__init__()
        self.annotation_map = nn.Linear(features, size)
        self.hidden_map = nn.Parameter(torch.empty(size, hidden_size))
        nn.init.xavier_uniform_(self.hidden_map)
        self.score = nn.Parameter(torch.empty(size))
        nn.init.uniform_(self.score, -(size**-0.5), size**-0.5)

    def remember(self, annotations: Tensor, generator: torch.Generator | None = None) -> Memory:
        """Compute once an image what every step needs."""
        keys = exponentials(self.annotation_map(annotations))
        return Memory(operand(annotations), keys, Tally(), Uses(), Weights(), generator=generator)

    def forward(self, hidden: Tensor, memory: Memory, rows: Rows, linear: Linear = F.linear) -> Glimpse:
        """Look at each row's image in the light of its hidden state ``(rows, hidden_size)``.

        ``linear`` takes the product with the hidden state.
        """
        alpha = self.weights(hidden, memory, rows, linear)
        context = expectation(alpha, memory.annotations, memory.looks)
        return Glimpse(rows.collect(context), rows.collect(alpha))

    def weights(self, hidden: Tensor, memory: Memory, rows: Rows, linear: Linear) -> Tensor:
        """The attention distributions on the grid, ``(images, width, locations)``."""
        queries = exponentials(rows.spread(linear(hidden, self.hidden_map)))
        scores = additive_scores(memory.keys, queries, self.score, memory.tally)
        if memory.deleted is not None:
            scores = scores.masked_fill(memory.deleted, float("-inf"))
        return scores.softmax(dim=-1)


class HardAttention(SoftAttention):
    """Stochastic attention: one location a step, drawn from alpha (section 4.1).

    Training draws a location, or with ``expectation_probability`` an image takes the expectation instead;
    the loss adds the REINFORCE term. At test time the location is ``inference``: the most likely one
    (argmax), a drawn one (sample), or the expectation, which is soft attention's context.
    """

    INFERENCE = ("argmax", "expectation", "sample")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        size: int,
        inference: str = "argmax",
        expectation_probability: float = 0.5,
    ) -> None:
        super().__init__(features, hidden_size, size)
        check_choice(inference, self.INFERENCE, "attention.inference")
        self.inference = inference
        self.expectation_probability = expectation_probability

    def remember(self, annotations: Tensor, generator: torch.Generator | None = None) -> Memory:
        memory = super().remember(annotations, generator)
        if not self.training:
            return memory
        draw = torch.rand(len(annotations), device=annotations.device)
        return memory._replace(expected=draw < self.expectation_probability)

    def forward(self, hidden: Tensor, memory: Memory, rows: Rows, linear: Linear = F.linear) -> Glimpse:
        alpha = self.weights(hidden, memory, rows, linear)
        context = rows.collect(expectation(alpha, memory.annotations, memory.looks))
        alpha = rows.collect(alpha)
        if memory.expected is None and self.inference == "expectation":
            return Glimpse(context, alpha)
        if memory.expected is None and self.inference == "argmax":
            location = alpha.argmax(dim=-1)
        else:
            location = torch.multinomial(alpha.detach().float(), 1, generator=memory.generator)
            location = location.squeeze(-1)
        drawn = memory.annotations[rows.owner, location]
        if memory.expected is None:
            return Glimpse(drawn, alpha)
        log_alpha = at_least_float32(alpha).clamp_min(1e-20).log()
        expected = memory.expected[rows.owner]
        surprise = log_alpha.gather(-1, location[:, None]).squeeze(-1).masked_fill(expected, 0.0)
        context = torch.where(expected[:, None], context, drawn)
        return Glimpse(context, alpha, surprise, -(alpha * log_alpha).sum(-1))


def set_inference(attention: SoftAttention, inference: str) -> None:
    """Make a trained hard attention choose its location in another way at test time.

    Raises:
        CaptionerError: there is no such way, or the attention is soft.
    """
    check_choice(inference, HardAttention.INFERENCE, "inference")
    if not isinstance(attention, HardAttention):
        raise CaptionerError(f"inference: {inference} is for hard attention, and this model's is soft")
    attention.inference = inference


def set_expectation(attention: SoftAttention, config: AttentionConfig, done: float) -> None:
    """Let hard attention learn where to look as soft attention does before its locations are drawn.

    Drawn from the start, they are noise to the decoder, which learns to write without them.

    Args:
        done: share of the training that is over.
    """
    if isinstance(attention, HardAttention) and isinstance(config, HardAttentionConfig):
        soft = done < config.soft_start
        attention.expectation_probability = 1.0 if soft else config.expectation_probability


ATTENTIONS: dict[str, type[SoftAttention]] = {"soft": SoftAttention, "hard": HardAttention}


def build_attention(config: AttentionConfig, features: int, hidden_size: int) -> SoftAttention:
    """The attention that the configuration names.

    Raises:
        CaptionerError: there is no attention of that name.
    """
    attention = choose(ATTENTIONS, config.name, "attention")
    if isinstance(config, HardAttentionConfig):
        return HardAttention(
            features, hidden_size, config.size, config.inference, config.expectation_probability
        )
    return attention(features, hidden_size, config.size)
