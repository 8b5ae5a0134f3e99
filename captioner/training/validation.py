"""The scores that choose a run's best weights."""

from __future__ import annotations

from collections.abc import Callable

import torch

from captioner.config.schema import TrainConfig
from captioner.config.search import SEARCHED_TOGETHER
from captioner.evaluation.captions import caption_split
from captioner.kernels.precision import autocast
from captioner.training.setup import Setup
from captioner.training.state import TrainingState


def validate(
    config: TrainConfig,
    setup: Setup,
    state: TrainingState,
    after_batch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Scores of free-running captions of the validation split, never teacher-forced.

    Restores the random state, so that a run stopped here can be saved.
    """
    ranks, size = state.ranks, SEARCHED_TOGETHER
    ranks.as_first(state.kept)
    devices = [state.device] if state.device.type == "cuda" else []
    with autocast(state.device, config.training.precision), torch.random.fork_rng(devices):
        hypotheses = caption_split(
            state.kept,
            ranks.share(setup.val, size),
            config.search,
            state.device,
            size,
            progress=config.run.progress,
            after_batch=after_batch,
        )
    ranks.wait_for_batches(len(setup.val), size, after_batch)
    hypotheses = ranks.gathered(hypotheses)
    return ranks.from_first(setup.references.scores(hypotheses) if ranks.first else {})
