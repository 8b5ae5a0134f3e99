"""What a training run says of itself, a line at a time."""

from __future__ import annotations

from captioner.config import TrainConfig
from captioner.preparation import Material
from captioner.progress import Progress


def describe(material: Material) -> str:
    """One line about what is about to be trained."""
    trained = sum(p.numel() for p in material.model.parameters() if p.requires_grad)
    rows, columns = material.model.encoder.grid
    return (
        f"{len(material.train):,} images with {sum(map(len, material.captions)):,} captions to train on, "
        f"{len(material.val):,} images to validate on, {len(material.vocabulary):,} words, "
        f"{rows}x{columns} locations, {trained:,} trained parameters"
    )


def epoch_line(config: TrainConfig, progress: Progress) -> str:
    """One line about the last epoch."""
    metrics = progress.metrics[-1]
    minutes, seconds = divmod(round(metrics["seconds"]), 60)
    return (
        f"epoch {metrics['epoch']:.0f}/{config.training.epochs}  loss {metrics['train_nll']:.3f}  "
        f"BLEU-4 {metrics['BLEU-4']:.3f}{'  ' if progress.stale_epochs else ' *'}  "
        f"{metrics['words_per_second']:,.0f} words/s  {minutes}:{seconds:02d}"
    )
