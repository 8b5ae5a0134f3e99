"""What a training phase minimizes, and the model, as one module."""

from __future__ import annotations

from torch import Tensor, nn

from captioner.config.model import AttentionConfig
from captioner.features.batches import Batch
from captioner.model.captioner import Captioner
from captioner.training.distillation import Teachers
from captioner.training.loss import Loss, caption_loss, guided
from captioner.training.ranks import Ranks
from captioner.training.self_critical import SelfCritical


class Objective(nn.Module):
    """From a batch to its loss: DistributedDataParallel has to see the whole way from weights to loss.

    Args:
        baseline: hard attention's, see :func:`captioner.training.loss.caption_loss`.
        self_critical: the second phase's loss of whole images; None: the captions' likelihood.
        mosaic_guidance: weight, see :func:`captioner.training.loss.guided`.
        teachers: whose expectation of a word has ``teacher_weight`` beside the word.
    """

    def __init__(
        self,
        model: Captioner,
        attention: AttentionConfig,
        label_smoothing: float,
        baseline: Tensor,
        self_critical: SelfCritical | None,
        ranks: Ranks,
        mosaic_guidance: float = 0.0,
        teachers: Teachers | None = None,
        teacher_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.model, self.attention, self.label_smoothing = model, attention, label_smoothing
        self.baseline, self.self_critical, self.ranks = baseline, self_critical, ranks
        self.mosaic_guidance = mosaic_guidance
        self.teachers, self.teacher_weight = teachers, teacher_weight

    def forward(self, batch: Batch) -> Loss:
        """Sums over this rank's captions."""
        features, captions = batch.features, batch.captions
        if self.self_critical is not None and captions.quadrant is None:
            loss = self.self_critical(self.model, features, batch.images)
        else:
            unrolled = self.model(features, captions)
            loss = caption_loss(
                self.model.decoder,
                unrolled,
                self.attention,
                self.label_smoothing,
                self.baseline,
                lambda rewards: self.ranks.mean(rewards[:0] if batch.stand_in else rewards),
                None if self.teachers is None else self.teachers(features, captions),
                self.teacher_weight,
            )
            loss = guided(loss, unrolled, self.mosaic_guidance)
        if batch.stand_in:  # all ranks have to take part
            reward = None if loss.reward is None else 0.0
            return Loss(0 * loss.total, 0 * loss.nll, 0 * loss.penalty, 0, 0, reward)
        return loss

    def captions(self, batch: Batch) -> int:
        """How many captions the whole batch has, those of the other ranks too."""
        if self.self_critical is not None and batch.captions.quadrant is None:
            return batch.all_images * self.self_critical.options.samples
        return batch.all_captions
