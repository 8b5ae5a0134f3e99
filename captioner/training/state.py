"""The moving parts of a training run, and the state from which it resumes bit by bit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from captioner.checkpoint.file import Checkpoint
from captioner.config.model import ModelConfig
from captioner.config.schema import TrainConfig
from captioner.config.training import SelfCriticalConfig
from captioner.errors import CaptionerError, first_line
from captioner.model.captioner import Captioner
from captioner.training.distillation import Teachers
from captioner.training.moving_average import MovingAverage
from captioner.training.objective import Objective
from captioner.training.optimization import build_optimizer, build_schedule
from captioner.training.progress import Progress, repeatable
from captioner.training.ranks import ALONE, Ranks
from captioner.training.self_critical import SelfCritical, caption_reward
from captioner.training.setup import Setup
from captioner.training.trained_on import batches_of
from captioner.training.unread import Unread, most_unread


@dataclass
class TrainingState:
    """The moving parts of a run, built once and handed to the functions below."""

    model: Captioner
    optimizer: Optimizer
    schedule: LambdaLR
    baseline: Tensor  # hard attention's moving average of a caption's log likelihood
    progress: Progress
    device: torch.device
    objective: Objective  # the model with what is minimized
    step: nn.Module  # the same, with its gradients reduced over all ranks
    unread: Unread
    ranks: Ranks = ALONE
    average: MovingAverage | None = None  # of the weights over the last steps
    data: dict[str, Any] = field(default_factory=dict)  # what it is trained on

    @property
    def kept(self) -> Captioner:
        """The model that is validated and kept."""
        if self.average is None:
            return self.model
        assert isinstance(self.average.module, Captioner)
        return self.average.module


def build_state(
    config: TrainConfig, setup: Setup, device: torch.device, ranks: Ranks = ALONE
) -> TrainingState:
    """The model on its device, with its optimizer and learning rate schedule."""
    model = setup.model.to(device)
    trains_statistics = model.encoder.trains_statistics
    if ranks.several and trains_statistics and device.type == "cuda":
        model.encoder.share_statistics()
    optimizer = build_optimizer(config.optimizer, model, config.encoder.weights is not None, setup.new_words)
    options = config.training
    steps = options.epochs * math.ceil(len(setup.train.photos) / options.batch_size)
    schedule = build_schedule(optimizer, options.schedule, options.warmup, steps)
    baseline = torch.full((), math.nan, device=device)
    phase, critic = config.phase, None
    if isinstance(phase, SelfCriticalConfig):
        reward = caption_reward(setup.train.records, setup.vocabulary, phase.bleu_weight)
        critic = SelfCritical(phase, config.search, setup.vocabulary.words, reward)
    average = MovingAverage(model, options.average) if options.average else None
    smoothing = options.label_smoothing
    teachers = None
    if options.teachers and critic is None:
        teachers = Teachers(options.teachers, model, setup.vocabulary, device)
    data = setup.data | {"batches": batches_of(options), "teachers": teachers.digests if teachers else []}
    objective = Objective(
        model,
        config.attention,
        smoothing,
        baseline,
        critic,
        ranks,
        options.mosaic_guidance,
        teachers,
        options.teacher_weight,
    )
    step = ranks.together(objective, buffers=trains_statistics)
    progress, unread = Progress(), Unread(most_unread(device, waits=critic is not None))
    return TrainingState(
        model, optimizer, schedule, baseline, progress, device, objective, step, unread, ranks, average, data
    )


def as_checkpoint(config: TrainConfig, setup: Setup, state: TrainingState) -> Checkpoint:
    """The model with all that using it needs; its configuration contains no local path."""
    weights = config.encoder.weights
    encoder = replace(config.encoder, weights=None if weights is None else Path(weights).name)
    model_config = ModelConfig(encoder, config.cell, config.attention, config.decoder)
    scores = repeatable(state.progress.best)
    return Checkpoint(state.kept, setup.vocabulary, model_config, scores)


def snapshot(state: TrainingState) -> dict[str, Any]:
    """Tensors and plain values from which :func:`restore` resumes bit by bit.

    Raises:
        DivergedError: a step that was still unread was no longer finite.
    """
    state.unread.settle(state.progress)
    cuda = state.device.type == "cuda"
    return {
        "data": state.data,
        "model": state.model.state_dict(),
        "average": None if state.average is None else state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "schedule": {"last_epoch": state.schedule.last_epoch},
        "baseline": state.baseline,
        "progress": asdict(state.progress),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(state.device) if cuda else None,
    }


def restore(state: TrainingState, saved: dict[str, Any]) -> None:
    """Put a run back where :func:`snapshot` found it."""
    if saved.get("data", {}).get("teachers", []) != state.data.get("teachers", []):
        raise CaptionerError("resume: training.teachers: the models are not those that the run began with")
    try:
        state.model.load_state_dict(saved["model"])
        if state.average is not None:
            state.average.load_state_dict(saved["average"])
        state.optimizer.load_state_dict(saved["optimizer"])
        state.schedule.last_epoch = saved["schedule"]["last_epoch"]
        state.baseline.copy_(saved["baseline"])
        state.progress = Progress.from_plain(saved["progress"])
        torch.set_rng_state(saved["random"])
        if saved["cuda_random"] is not None and state.device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda_random"], state.device)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = first_line(error)
        raise CaptionerError(f"resume: the state is of another run ({reason})") from error
