"""The gradient of a step's batch, taken whole or in parts, one after another, that need less memory."""

from __future__ import annotations

from collections.abc import Iterator

from captioner.features.batches import Batch
from captioner.kernels.precision import autocast
from captioner.training.loss import Loss
from captioner.training.state import TrainingState


def step_gradient(state: TrainingState, batches: Iterator[Batch], precision: str) -> tuple[Loss, int]:
    """Add the gradient of the next batch to the parameters'.

    Each part's sum over captions is divided by the number of captions of the whole batch, over all parts and
    ranks, so the parts' gradients add up to that of the batch. A mean of the parts' means would weigh the
    captions of a small part more.

    Args:
        batches: from which the parts of one batch are taken, on the model's device.

    Returns:
        The loss of this rank's share, and how many images the batch has.
    """
    whole: Loss | None = None
    while True:
        batch = next(batches)
        with state.ranks.reducing(state.step, batch.last):
            with autocast(state.device, precision):
                loss = state.step(batch)
            # of the captions of all ranks, whose gradients' mean, not their sum, is taken
            (loss.total / (state.objective.captions(batch) / state.ranks.size)).backward()
        loss = loss._replace(total=loss.total.detach())  # so that nothing of a part outlives it
        whole = loss if whole is None else whole.plus(loss)
        if batch.last:
            return whole, batch.all_images
