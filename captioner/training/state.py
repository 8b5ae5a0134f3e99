"""The moving parts of a training run, and the state from which it resumes bit by bit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from captioner.config.schema import TrainConfig
from captioner.config.training import SelfCriticalConfig
from captioner.errors import CaptionerError
from captioner.model.captioner import Captioner
from captioner.training.moving_average import averaged
from captioner.training.optimization import build_optimizer, build_schedule
from captioner.training.progress import Progress
from captioner.training.self_critical import SelfCritical, caption_reward
from captioner.training.setup import Setup


@dataclass
class TrainingState:
    """The moving parts of a run, built once and handed to the functions below."""

    model: Captioner
    optimizer: Optimizer
    schedule: LambdaLR
    baseline: Tensor  # hard attention's moving average of a caption's log likelihood
    progress: Progress
    device: torch.device
    self_critical: SelfCritical | None = None  # the second phase's loss
    average: AveragedModel | None = None  # of the weights over the last steps

    @property
    def kept(self) -> Captioner:
        """The model that is validated and kept."""
        if self.average is None:
            return self.model
        assert isinstance(self.average.module, Captioner)
        return self.average.module


def build_state(config: TrainConfig, setup: Setup, device: torch.device) -> TrainingState:
    """The model on its device, with its optimizer and learning rate schedule."""
    model = setup.model.to(device)
    optimizer = build_optimizer(config.optimizer, model, config.encoder.weights is not None)
    options = config.training
    steps = options.epochs * math.ceil(len(setup.train.photos) / options.batch_size)
    schedule = build_schedule(optimizer, options.schedule, options.warmup, steps)
    baseline = torch.full((), math.nan, device=device)
    phase, critic = config.phase, None
    if isinstance(phase, SelfCriticalConfig):
        reward = caption_reward(setup.train.records, setup.vocabulary, phase.bleu_weight)
        critic = SelfCritical(phase, config.search, setup.vocabulary.words, reward)
    average = averaged(model, options.average) if options.average else None
    return TrainingState(model, optimizer, schedule, baseline, Progress(), device, critic, average)


def snapshot(trainer: TrainingState) -> dict[str, Any]:
    """Tensors and plain values from which :func:`restore` resumes bit by bit."""
    cuda = trainer.device.type == "cuda"
    return {
        "model": trainer.model.state_dict(),
        "average": None if trainer.average is None else trainer.average.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": {"last_epoch": trainer.schedule.last_epoch},
        "baseline": trainer.baseline,
        "progress": asdict(trainer.progress),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(trainer.device) if cuda else None,
    }


def restore(trainer: TrainingState, state: dict[str, Any]) -> None:
    """Put a run back where :func:`snapshot` found it."""
    try:
        trainer.model.load_state_dict(state["model"])
        if trainer.average is not None:
            trainer.average.load_state_dict(state["average"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.schedule.last_epoch = state["schedule"]["last_epoch"]
        trainer.baseline.copy_(state["baseline"])
        trainer.progress = Progress.from_plain(state["progress"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None and trainer.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], trainer.device)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise CaptionerError(f"resume: the state is of another run ({reason})") from error
