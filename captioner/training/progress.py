"""A run's progress: the finished epochs, and the sums of the current one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from captioner.config.training import TrainingConfig
from captioner.metrics.table import WHILE_ZERO
from captioner.training.loss import Loss

CLOCK = ("seconds", "words_per_second")  # metrics that no two runs have in common


@dataclass
class Sums:
    """Sums over the steps of an epoch; its metrics are means over them."""

    images: int = 0
    steps: int = 0
    captions: int = 0
    words: int = 0
    nll: float = 0.0
    penalty: float = 0.0
    gradient_norm: float = 0.0
    seconds: float = 0.0
    reward: float | None = None  # where the phase has one

    def add(self, loss: Loss, images: int, gradient_norm: float) -> None:
        """Count one more step, without its seconds."""
        self.images += images
        self.steps += 1
        self.captions += loss.captions
        self.words += loss.words
        self.nll += loss.nll.item()
        self.penalty += loss.penalty.item()
        self.gradient_norm += gradient_norm
        if loss.reward is not None:
            self.reward = (self.reward or 0.0) + loss.reward

    def means(self) -> dict[str, float]:
        """The metrics of the steps so far."""
        return {
            "train_nll": self.nll / self.words,
            **({} if self.reward is None else {"reward": self.reward / self.captions}),
            "attention_penalty": self.penalty / self.captions,
            "gradient_norm": self.gradient_norm / self.steps,
            "words_per_second": self.words / self.seconds,
            "seconds": self.seconds,
        }


@dataclass
class Progress:
    """A run's progress; with weights, optimizer and random state, all that resuming needs."""

    epoch: int = 0  # finished epochs
    best: dict[str, float] = field(default_factory=dict)  # metrics of the best one
    stale_epochs: int = 0  # epochs since the best one
    metrics: list[dict[str, float]] = field(default_factory=list)  # one entry per epoch
    sums: Sums = field(default_factory=Sums)  # of the epoch under way
    trained: dict[str, float] = field(default_factory=dict)  # its metrics once only validation is to come

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Progress:
        """From what ``dataclasses.asdict`` made of one."""
        return cls(**{**values, "sums": Sums(**values.get("sums", {}))})

    @property
    def has_best_weights(self) -> bool:
        """Whether the present weights are the best epoch's: it was the last one, and no step came after."""
        return self.best.get("epoch") == self.epoch and not self.sums.steps and not self.trained

    def advance(self, metrics: dict[str, float], select: str = "BLEU-4") -> Progress:
        """The progress after an epoch with these metrics; ``select`` is the score that decides the best."""
        better = rank(metrics, select) > rank(self.best, select)
        return Progress(
            self.epoch + 1,
            metrics if better else self.best,
            0 if better else self.stale_epochs + 1,
            [*self.metrics, metrics],
        )

    def finished(self, options: TrainingConfig) -> bool:
        """Whether all epochs are done, or the validation score has long stopped rising."""
        stopped = bool(options.patience) and self.stale_epochs >= options.patience
        return stopped or self.epoch >= options.epochs


def rank(metrics: Mapping[str, float], select: str = "BLEU-4") -> list[float]:
    """What epochs are compared by: the score ``select``, and while it is still zero, BLEU of lower order."""
    return [metrics.get(name, -1.0) for name in (select, *WHILE_ZERO)]


def repeatable(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that another run of the same seed repeats to the bit."""
    return {name: value for name, value in metrics.items() if name not in CLOCK}
