"""What training minimises (Xu et al. 2015, sections 3.1.2, 4.1 and 4.2.1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.config.model import AttentionConfig, HardAttentionConfig
from captioner.evaluation.grounding.mosaics import quadrants
from captioner.kernels.precision import at_least_float32
from captioner.model.decoder import Decoder
from captioner.model.step import Unrolled


class Loss(NamedTuple):
    """Sums over a batch; divide by ``captions`` for the mean that is minimised.

    Attributes:
        total: what is differentiated, summed over captions.
        nll: negative log likelihood of all words, in nats, without label smoothing.
        penalty: sum over captions of sum_i (1 - sum_t alpha_ti)^2.
        words, captions: how many there are.
        reward: of all captions; None where there is none.
    """

    total: Tensor
    nll: Tensor
    penalty: Tensor
    words: int
    captions: int
    reward: float | None = None

    def plus(self, other: Loss) -> Loss:
        """Over the captions of both."""
        return Loss(
            self.total + other.total,
            self.nll + other.nll,
            self.penalty + other.penalty,
            self.words + other.words,
            self.captions + other.captions,
            None if self.reward is None or other.reward is None else self.reward + other.reward,
        )


def caption_loss(
    decoder: Decoder,
    unrolled: Unrolled,
    attention: AttentionConfig,
    label_smoothing: float = 0.0,
    baseline: Tensor | None = None,
    mean: Callable[[Tensor], Tensor] = Tensor.mean,
    expected: Tensor | None = None,
    teacher_weight: float = 0.5,
) -> Loss:
    """The loss of a teacher-forced pass.

    The likelihood is summed over a caption's words and its ``<end>``, the penalty over locations; both are
    then summed over captions, so that the mean over captions weighs them as the paper writes them,
    whatever the batch holds. With hard attention the REINFORCE term and the entropy bonus are added,
    and ``baseline``, the moving average of a caption's log likelihood (NaN: none yet), is updated in place
    with the ``mean`` over the batch, which may have captions elsewhere too. ``expected``, distributions of
    every word ``(words, vocabulary)``, takes ``teacher_weight`` of the likelihood's place.
    """
    total, nll = decoder.word_loss(unrolled, label_smoothing)
    if expected is not None:
        total = (1 - teacher_weight) * total + teacher_weight * cross_entropy(decoder, unrolled, expected)
    penalty = attention_penalty(unrolled)
    if attention.penalty:
        total = total + attention.penalty * penalty
    if isinstance(attention, HardAttentionConfig) and unrolled.steps.log_prob_drawn is not None:
        assert baseline is not None
        total = total + _reinforce(attention, unrolled, nll, baseline, mean)
    return Loss(total, nll.sum(), penalty.detach(), len(nll), len(unrolled.captions))


def cross_entropy(decoder: Decoder, unrolled: Unrolled, expected: Tensor) -> Tensor:
    """-sum_w q(w) log p(w), summed over words, where q is ``expected``, ``(words, vocabulary)``."""
    return -(expected * at_least_float32(decoder.logits(unrolled.steps)).log_softmax(-1)).sum()


def guided(loss: Loss, unrolled: Unrolled, weight: float) -> Loss:
    """Add ``weight`` times -log sum_{i in q} alpha_ti, where q is the quadrant of a caption's photo.

    It is summed over words and captions. Captions of whole photos have no such term. A sparse map that has
    nothing of the quadrant would have no gradient that brings it there, so the softmax of its scores stands
    in for it.
    """
    steps, quadrant = unrolled.steps, unrolled.captions.quadrant
    alpha = at_least_float32(steps.alpha if steps.dense_alpha is None else steps.dense_alpha)
    if quadrant is None or not weight:
        return loss
    side = math.isqrt(alpha.shape[-1])
    of_word = torch.cat([quadrant[:count] for count in unrolled.captions.alive])
    own = _quadrants(side, alpha.device, alpha.dtype)[of_word]
    missed = -(alpha * own).sum(-1).clamp_min(1e-6).log().sum()
    return loss._replace(total=loss.total + weight * missed)


@cache
def _quadrants(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Moved once: a GPU would be waited for."""
    return quadrants((side, side)).to(device, dtype)


def attention_penalty(unrolled: Unrolled) -> Tensor:
    """sum_i (1 - sum_t alpha_ti)^2, summed over captions (section 4.2.1)."""
    return (1 - at_least_float32(unrolled.coverage)).square().sum()


def _reinforce(
    attention: HardAttentionConfig,
    unrolled: Unrolled,
    nll: Tensor,
    baseline: Tensor,
    mean: Callable[[Tensor], Tensor],
) -> Tensor:
    """-lambda_r (log p(y|s) - b) log p(s) - lambda_e H(s), summed over captions (section 4.1)."""
    captions, steps = unrolled.captions, unrolled.steps
    assert steps.log_prob_drawn is not None and steps.entropy is not None
    reward = -captions.total(nll)
    decay = attention.baseline_decay
    present = mean(reward)
    baseline.copy_(torch.where(baseline.isnan(), present, decay * baseline + (1 - decay) * present))
    advantage = reward - baseline
    gain = attention.reinforce_weight * (advantage * captions.total(steps.log_prob_drawn)).sum()
    return -gain - attention.entropy_weight * captions.total(steps.entropy).sum()
