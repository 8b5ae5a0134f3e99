"""The additive attention's scores, the costliest part of a step, without a single tanh.

v . tanh(k + q) has an exponential for every image location, row and unit. It separates:

    tanh(k + q) = 1 - 2 / (1 + e^2k e^2q)

so the exponentials are taken once for every key and once for every query, and what is left for their
combinations is a product and a reciprocal. The constant sum of v is the same for every location and
drops out of the softmax. This is the same function, not an approximation of it. Keys and queries are
clamped to +-40 so that nothing overflows: beyond that only a key and a query that nearly cancel could
tell the difference.

The combinations ``(images, width, locations, size)`` are never stored: forward reduces them as it goes,
and backward computes them again. Where a compiler is found, torch.compile makes each into one loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.kernels.compiler import compiled
from captioner.kernels.deferred_gradients import SummedGradient
from captioner.kernels.precision import at_least_float32

LIMIT = 40.0
PIECE = 2**19  # combinations at a time without a compiler


class AdditiveKeys:
    """The keys of a batch of images, which all steps score their queries against.

    Args:
        exp_keys: e^2k, ``(images, locations, size)``; see :meth:`of`.
    """

    def __init__(self, exp_keys: Tensor) -> None:
        self._exp_keys = exp_keys
        self._gradient = SummedGradient[Tensor]()

    @classmethod
    def of(cls, keys: Tensor) -> AdditiveKeys:
        """From the keys themselves, in float32 or better."""
        return cls(_exponentials(keys))

    def __call__(self, queries: Tensor, score: Tensor) -> Tensor:
        """v . tanh(k + q) up to a constant over locations.

        Args:
            queries: ``(images, width, size)``; of the first images only, if there are fewer.
            score: v, ``(size,)``.

        Returns:
            ``(images, width, locations)``, in float32 or better.
        """
        score = score.to(self._exp_keys.dtype)
        scores: Tensor = _Scores.apply(self._exp_keys, _exponentials(queries), score, self._gradient)
        return scores

    @staticmethod
    def one(keys: Tensor, queries: Tensor, score: Tensor) -> Tensor:
        """v . tanh(k + q) of a single key for every query, up to the same constant: ``(rows,)``."""
        shifted = torch.tanh(at_least_float32(keys + queries)) - 1
        return (shifted * score).sum(-1)

    def select(self, images: Tensor) -> AdditiveKeys:
        """The keys of some of the images, by index."""
        return AdditiveKeys(self._exp_keys[images])


def _exponentials(x: Tensor) -> Tensor:
    return (2 * at_least_float32(x).clamp(-LIMIT, LIMIT)).exp()


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, exp_keys: Tensor, exp_queries: Tensor, score: Tensor, summed: SummedGradient[Tensor]
    ) -> Tensor:
        ctx.save_for_backward(exp_keys, exp_queries, score)
        ctx.summed, ctx.first = summed, summed.begin()
        kernel = compiled(_forward, _in_pieces(_forward_in_passes), exp_keys)
        result: Tensor = kernel(exp_keys[: len(exp_queries)], exp_queries, score)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        exp_keys, exp_queries, score = ctx.saved_tensors
        keys, grad = exp_keys[: len(exp_queries)], grad.contiguous()
        if not ctx.summed.met:
            ctx.summed.met.append(torch.zeros_like(exp_keys))
        (of_keys,) = ctx.summed.take() if ctx.first else ctx.summed.met
        _kernel(_add_key_gradient, exp_keys)(keys, exp_queries, score, grad, of_keys[: len(exp_queries)])
        of_queries, of_score = _kernel(_query_gradient, exp_keys)(keys, exp_queries, score, grad)
        return of_keys if ctx.first else None, of_queries, of_score.sum((0, 1)), None


# Written with whole combinations, which only the compiled form affords; it never stores them.


def _reciprocals(exp_keys: Tensor, exp_queries: Tensor) -> Tensor:
    """1 / (1 + e^2k e^2q), in two passes where nothing fuses them."""
    return torch.addcmul(exp_keys.new_ones(()), exp_keys[:, None], exp_queries[:, :, None]).reciprocal_()


def _forward(exp_keys: Tensor, exp_queries: Tensor, score: Tensor) -> Tensor:
    r = _reciprocals(exp_keys, exp_queries)
    return (-2 * score * r).sum(-1)


def _forward_in_passes(exp_keys: Tensor, exp_queries: Tensor, score: Tensor) -> Tensor:
    """The same where nothing fuses them: a product with a vector reads the combinations once."""
    with torch.autocast(exp_keys.device.type, enabled=False):  # which would halve it
        return _reciprocals(exp_keys, exp_queries) @ (-2 * score)


def _add_key_gradient(
    exp_keys: Tensor, exp_queries: Tensor, score: Tensor, grad: Tensor, total: Tensor
) -> None:
    r = _reciprocals(exp_keys, exp_queries)
    total += (grad[..., None] * r * r * exp_queries[:, :, None]).sum(1) * (2 * score)


def _query_gradient(
    exp_keys: Tensor, exp_queries: Tensor, score: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """And the score's, ``(images, width, size)``, to be summed over rows."""
    r = _reciprocals(exp_keys, exp_queries)
    weighted = grad[..., None] * r
    queries = (weighted * r * exp_keys[:, None]).sum(2) * (2 * score)
    return queries, -2 * weighted.sum(2)


def _in_pieces(function: Callable[..., Any]) -> Callable[..., Any]:
    """The functions without a compiler: a few images at a time, so that the combinations stay in cache."""

    def run(exp_keys: Tensor, exp_queries: Tensor, score: Tensor, *others: Tensor) -> Any:
        step = max(1, PIECE // (exp_keys[0].numel() * exp_queries.shape[1]))
        pieces = [slice(start, start + step) for start in range(0, len(exp_keys), step)]
        parts = [function(exp_keys[p], exp_queries[p], score, *(t[p] for t in others)) for p in pieces]
        if isinstance(parts[0], tuple):
            return tuple(torch.cat(part) for part in zip(*parts))
        return None if parts[0] is None else torch.cat(parts)

    return run


def _kernel(function: Callable[..., Any], like: Tensor) -> Callable[..., Any]:
    return compiled(function, _in_pieces(function), like)
