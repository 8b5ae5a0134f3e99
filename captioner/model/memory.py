"""What the decoder keeps about a batch of images while it writes, and the result of one look at them.

Three parts of a memory do the work of a step: ``keys`` score, ``values`` take the weighted sum, ``linear``
multiplies. In plain form they are v . tanh(k + q), alpha @ annotations and torch's linear;
``captioner.kernels`` has the same functions, sooner.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from captioner.kernels.linear import Linear
from captioner.kernels.weighted_sum import Values


class Keys(Protocol):
    """What the attention precomputes about every location of a batch of images."""

    def __call__(self, queries: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Scores of queries ``(images, width, size)``, each against its image's locations."""

    def one(self, keys: Tensor, queries: Tensor, *args: Any) -> Tensor:
        """Scores ``(rows,)`` of one more key ``(rows, size)`` for each query, comparable with the others."""

    def select(self, images: Tensor) -> Keys:
        """The keys of some of the images, by index."""


class Memory(NamedTuple):
    """What the decoder keeps about a batch of images.

    Attributes:
        keys: score an image's locations.
        values: the annotations; they take weighted sums over an image's locations.
        linear: takes the products with the decoder's weights that every step repeats.
        expected: ``(images,)`` booleans, images whose sampled location is replaced by its expectation
            (hard attention in training only).
        generator: draws the locations of hard attention.
        deleted: ``(images, width, locations)`` booleans, locations that a row cannot look at; its
            attention is shared among the others as if they were all there is.
        mean: the mean annotation, ``(images, features)``, where the cell reads it; None elsewhere.
    """

    keys: Keys
    values: Values
    linear: Linear
    expected: Tensor | None = None
    generator: torch.Generator | None = None
    deleted: Tensor | None = None
    mean: Tensor | None = None

    def select(self, images: Tensor) -> Memory:
        """The memory of some of the images, by index."""
        return self._replace(
            keys=self.keys.select(images),
            values=self.values.select(images),
            expected=None if self.expected is None else self.expected[images],
            deleted=None if self.deleted is None else self.deleted[images],
            mean=None if self.mean is None else self.mean[images],
        )


class Glimpse(NamedTuple):
    """One look at the image.

    Attributes:
        context: z, ``(rows, features)``.
        alpha: the attention distribution, ``(rows, locations)``.
        log_prob_drawn: log probability of the location that was drawn, ``(rows,)``, zero where the
            expectation replaced it; None unless hard attention is training.
        entropy: of alpha, ``(rows,)``; likewise.
        dense_alpha: the softmax of the same scores, ``(rows, locations)``, which has a gradient where a
            sparse alpha is zero; None unless sparse attention is training.
        sentinel: weight of the sentinel among itself and the locations, ``(rows,)``; None without one.
    """

    context: Tensor
    alpha: Tensor
    log_prob_drawn: Tensor | None = None
    entropy: Tensor | None = None
    dense_alpha: Tensor | None = None
    sentinel: Tensor | None = None
