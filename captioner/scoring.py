"""The additive attention's scores, the costliest part of a step, without a single tanh.

v . tanh(k + q) has an exponential for every image location, row and unit. It separates:

    tanh(k + q) = 1 - 2 / (1 + e^2k e^2q)

so the exponentials are taken once for every key and once for every query, and what is left for their
combinations is a product and a reciprocal. The constant sum of v is the same for every location and
drops out of the softmax. This is the same function, not an approximation of it. Keys and queries are
clamped to +-40 so that nothing overflows: beyond that only a key and a query that nearly cancel could
tell the difference.

The combinations ``(images, width, locations, size)`` are never stored: forward reduces them as it goes,
and backward computes them again. Where a compiler is found, torch.compile makes one loop of forward and two
of backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.compiling import compiled
from captioner.tally import Tally

LIMIT = 40.0
PIECE = 2**19  # combinations at a time without a compiler
UNROLLED = 8  # rows at a time in backward


def exponentials(x: Tensor) -> Tensor:
    """e^2x in float32 or better, for :func:`additive_scores`."""
    return (2 * (x if x.dtype == torch.float64 else x.float()).clamp(-LIMIT, LIMIT)).exp()


def additive_scores(
    exp_keys: Tensor, exp_queries: Tensor, score: Tensor, tally: Tally | None = None
) -> Tensor:
    """v . tanh(k + q) up to a constant over locations, ``(images, width, locations)``.

    Args:
        exp_keys: ``exponentials`` of the keys, ``(images, locations, size)``.
        exp_queries: of the queries, ``(images, width, size)``; of the first images only, it may be.
        score: v, ``(size,)``.
        tally: shared by the steps that score the same keys; None for a single call.
    """
    scores: Tensor = _Scores.apply(exp_keys, exp_queries, score.to(exp_keys.dtype), tally or Tally())
    return scores


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, exp_keys: Tensor, exp_queries: Tensor, score: Tensor, tally: Tally) -> Tensor:
        ctx.save_for_backward(exp_keys, exp_queries, score)
        ctx.tally, ctx.first = tally, tally.begin()
        kernel = compiled(_forward, exp_keys) or _in_pieces(_forward_in_passes)
        result: Tensor = kernel(exp_keys[: len(exp_queries)], exp_queries, score)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        exp_keys, exp_queries, score = ctx.saved_tensors
        images, width, _ = exp_queries.shape
        keys, of_keys = exp_keys[:images], ctx.tally.part(exp_keys, images)
        of_queries, of_score = torch.empty_like(exp_queries), torch.zeros_like(exp_queries[:, 0])
        kernel = compiled(_add_gradients, exp_keys) or _in_pieces(_add_gradients)
        for start in range(0, width, UNROLLED):
            rows = slice(start, start + UNROLLED)
            kernel(keys, exp_queries[:, rows], score, grad[:, rows], of_keys, of_queries[:, rows], of_score)
        return ctx.tally.hand_over(ctx.first), of_queries, of_score.sum(0), None


def _reciprocals(exp_keys: Tensor, exp_queries: Tensor) -> Tensor:
    """1 / (1 + e^2k e^2q), in two passes where nothing fuses them."""
    return torch.addcmul(exp_keys.new_ones(()), exp_keys, exp_queries).reciprocal_()


def _forward(exp_keys: Tensor, exp_queries: Tensor, score: Tensor) -> Tensor:
    """Written with whole combinations, which only the compiled form affords; it never stores them."""
    r = _reciprocals(exp_keys[:, None], exp_queries[:, :, None])
    return (-2 * score * r).sum(-1)


def _forward_in_passes(exp_keys: Tensor, exp_queries: Tensor, score: Tensor) -> Tensor:
    """The same where nothing fuses them: a product with a vector reads the combinations once."""
    return _reciprocals(exp_keys[:, None], exp_queries[:, :, None]) @ (-2 * score)


def _add_gradients(
    exp_keys: Tensor,
    exp_queries: Tensor,
    score: Tensor,
    grad: Tensor,
    of_keys: Tensor,
    of_queries: Tensor,
    of_score: Tensor,
) -> None:
    """Add to the gradients of keys and score, and write that of the queries.

    Row by row: a reciprocal of one row is all that its share of the three gradients needs.
    """
    for row, (query, of_row) in enumerate(zip(exp_queries.unbind(1), grad.unbind(1))):
        r = _reciprocals(exp_keys, query[:, None])
        weighted = of_row[..., None] * r
        of_score.sub_(2 * weighted.sum(1))
        r = weighted * r
        of_keys.addcmul_(r, (2 * score * query)[:, None])
        of_queries[:, row] = (r * exp_keys).sum(1) * (2 * score)


def _in_pieces(function: Callable[..., Any]) -> Callable[..., Any]:
    """The functions without a compiler: a few images at a time, so that the combinations stay in cache."""

    def run(exp_keys: Tensor, exp_queries: Tensor, score: Tensor, *others: Tensor) -> Any:
        step = max(1, PIECE // (exp_keys[0].numel() * exp_queries.shape[1]))
        pieces = [slice(start, start + step) for start in range(0, len(exp_keys), step)]
        parts = [function(exp_keys[p], exp_queries[p], score, *(t[p] for t in others)) for p in pieces]
        return None if parts[0] is None else torch.cat(parts)

    return run
