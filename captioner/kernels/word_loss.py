"""The output layer and its loss in one piece, so that logits are never held for all words at once.

A batch has more logits than weights and activations together. Here they are made for a few hundred words
at a time in one reused buffer, which turns in place into the loss's gradient (in one loop where there is a
compiler) and is spent at once on the gradients of the layer's input and weights: what backward would do
later from stored logits.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from captioner.kernels.compiler import compiled
from captioner.kernels.linear import Products
from captioner.kernels.precision import at_least_float32, operand

CHUNK = 640  # words at most


def word_loss(
    deep: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    smoothing: float = 0.0,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross entropy of ``softmax(deep @ weight.T + bias)``.

    Args:
        deep: ``(words, size)``.
        weight, bias: ``(vocabulary, size)`` and ``(vocabulary,)``.
        targets: the right words, ``(words,)``.
        smoothing: share of the target probability that is spread over all words.
        scale: what each word's loss is multiplied by, ``(words,)``; None: 1.

    Returns:
        The label-smoothed loss summed over words, to be differentiated, and each word's negative log
        likelihood without smoothing, ``(words,)``, without a gradient.
    """
    total, nll = _WordLoss.apply(operand(deep), operand(weight), bias, targets, smoothing, scale)
    return total, nll


class _WordLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        deep: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        smoothing: float,
        scale: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        exact = torch.promote_types(deep.dtype, torch.float32)
        nll = deep.new_empty(len(deep), dtype=exact)
        total = deep.new_zeros((), dtype=exact)
        d_deep, d_weight, d_bias = torch.empty_like(deep), torch.empty_like(weight), torch.zeros_like(bias)
        linear, uniform = Products(), smoothing / len(weight)
        step = math.ceil(len(deep) / max(1, math.ceil(len(deep) / CHUNK)))  # chunks of one size
        for start in range(0, len(deep), step):
            chunk = slice(start, start + step)
            x, factor = deep[chunk], None if scale is None else scale[chunk]
            target = torch.arange(len(x), device=x.device), targets[chunk]
            logits = linear(x, weight, bias.to(x.dtype))
            right = logits[target].to(exact)
            errors = compiled(_errors, _errors, logits)
            log_total, mean = errors(logits, uniform)
            nll[chunk] = of_chunk = log_total - right
            loss = (1 - smoothing) * of_chunk
            if smoothing:  # without it a logit may be -inf
                loss += smoothing * (log_total - mean)
            total += (loss if factor is None else factor * loss).sum()
            if any(ctx.needs_input_grad):
                error = logits
                error[target] = ((-of_chunk).expm1() + smoothing - uniform).to(x.dtype)
                if factor is not None:
                    error *= factor[:, None]
                d_bias += error.sum(0)
                torch.mm(error, weight, out=d_deep[chunk])
                d_weight.addmm_(error.T, x, beta=int(start > 0))
        ctx.mark_non_differentiable(nll)
        ctx.save_for_backward(d_deep, d_weight, d_bias)
        return total, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        d_deep, d_weight, d_bias = ctx.saved_tensors
        return d_deep * grad, d_weight * grad, d_bias * grad, None, None, None


def _errors(logits: Tensor, uniform: float) -> tuple[Tensor, Tensor]:
    """Turn logits in place into what softmax has more than ``uniform``; their logsumexp and mean before."""
    exact = at_least_float32(logits)
    log_total, mean = exact.logsumexp(dim=-1), exact.mean(dim=-1)
    exact.sub_(log_total[:, None]).exp_().sub_(uniform)
    if exact.dtype != logits.dtype:
        logits.copy_(exact)
    return log_total, mean
