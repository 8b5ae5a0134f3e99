"""What a training run reports, one line at a time."""

from __future__ import annotations

from collections.abc import Mapping

from captioner.config.schema import TrainConfig
from captioner.metrics.table import SCORES
from captioner.training.progress import Progress
from captioner.training.setup import Setup
from captioner.training.state import TrainingState


def setup_line(setup: Setup) -> str:
    """One line about the data and the model."""
    trained = sum(p.numel() for p in setup.model.parameters() if p.requires_grad)
    photos = setup.train.photos.records
    captions = sum(len(record.captions) for record in photos)
    rows, columns = setup.model.encoder.grid
    return (
        f"{len(photos):,} images with {captions:,} captions to train on, "
        f"{len(setup.val):,} images to validate on, {len(setup.vocabulary):,} words, "
        f"{rows}x{columns} locations, {trained:,} trained parameters"
    )


def ranks_line(state: TrainingState) -> str:
    """One line about the processes that train together."""
    line = f"{state.ranks.size} processes train one model, each on its share of every batch"
    if state.model.encoder.trains_statistics and state.device.type != "cuda":
        line += "; BatchNorm normalizes by each process's own images"
    return line


def epoch_line(config: TrainConfig, progress: Progress) -> str:
    """One line about the last epoch."""
    metrics = progress.metrics[-1]
    minutes, seconds = divmod(round(metrics["seconds"]), 60)
    return (
        f"epoch {metrics['epoch']:.0f}/{config.training.epochs}  {gain(metrics)}  "
        f"{_scores(metrics)}{'  ' if progress.stale_epochs else ' *'}  "
        f"{metrics['words_per_second']:,.0f} words/s  {minutes}:{seconds:02d}"
    )


def start_line(progress: Progress) -> str:
    """One line about the weights that a run starts from."""
    return f"start  {_scores(progress.best)}"


def gain(metrics: Mapping[str, float]) -> str:
    """What the phase maximizes or minimizes."""
    name, label = ("reward", "reward") if "reward" in metrics else ("train_nll", "loss")
    return f"{label} {metrics[name]:.3f}"


def _scores(metrics: Mapping[str, float]) -> str:
    shown = [name for name, score in SCORES.items() if score.selects and name in metrics]
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in shown)
