"""The scores of multiplicative attention, q . k for every query and key."""

from __future__ import annotations

from torch import Tensor

from captioner.kernels.precision import at_least_float32
from captioner.kernels.weighted_sum import Values


class MultiplicativeKeys:
    """The keys of a batch of images, which all steps score their queries against.

    A score is a sum of the key's components weighted by the query's, so the scores are the weighted sum of
    the transposed keys, with its deferred gradient.

    Args:
        components: the keys transposed, ``(images, size, locations)``; see :meth:`of`.
    """

    def __init__(self, components: Values) -> None:
        self._components = components

    @classmethod
    def of(cls, keys: Tensor) -> MultiplicativeKeys:
        """From keys ``(images, locations, size)``."""
        return cls(Values(keys.mT))

    def __call__(self, queries: Tensor) -> Tensor:
        """q . k, ``(images, width, locations)`` in float32 or better.

        Args:
            queries: ``(images, width, size)``; of the first images only, if there are fewer.
        """
        return at_least_float32(self._components(queries))

    @staticmethod
    def one(keys: Tensor, queries: Tensor) -> Tensor:
        """q . k of a single key for every query, ``(rows,)``."""
        return (at_least_float32(keys) * queries).sum(-1)

    def select(self, images: Tensor) -> MultiplicativeKeys:
        """The keys of some of the images, by index."""
        return MultiplicativeKeys(self._components.select(images))
