"""Training, as free functions around one visible loop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from captioner.checkpoint import (
    Checkpoint,
    load_resume_state,
    make_folder,
    save_checkpoint,
    save_resume_state,
    write_whole,
)
from captioner.config import ModelConfig, TrainConfig
from captioner.data.batches import epoch_batches
from captioner.errors import CaptionerError
from captioner.hardware import autocast, choose_device
from captioner.loss import Loss, caption_loss
from captioner.model import Captioner
from captioner.packing import Captions
from captioner.preparation import SELECTIONS, Material, check_training, prepare
from captioner.scoring import use_compiler
from captioner.trainer import Progress, Trainer, build_trainer, restore, seed_everything, state_of
from captioner.validation import caption_split, score_captions

CONFIG_FILE = "config.yaml"
RESUME_FILE = "resume.pt"
MODEL_FILE = "model.safetensors"
Report = Callable[[str], None]


def train(config: TrainConfig, output: Path, resume: bool = False, report: Report = print) -> Path:
    """Train a model and keep the weights that caption the validation split best.

    Args:
        output: the run folder: model.safetensors, resume.pt, config.yaml, metrics.jsonl and
            TensorBoard events.
        resume: go on with what the folder holds.
        report: is told one readable line an epoch.

    Returns:
        The path of the model file.

    Raises:
        CaptionerError: the configuration or the data is wrong, or the loss is no longer finite.
    """
    from torch.utils.tensorboard import SummaryWriter

    check_training(config)
    make_folder(output, "output")
    seed_everything(config.training.seed)
    use_compiler(config.run.compile)
    device = choose_device(config.run.device)
    autocast(device, config.training.precision)  # refuses a wrong value before the data is read
    material = prepare(config, device)
    trainer = build_trainer(config, material, device)
    if resume:
        restore(trainer, load_resume_state(output / RESUME_FILE))
    else:
        write_whole(output / CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.structured(config)))
    report(describe(material))
    if config.init is not None and not resume:
        begin_with(config, material, trainer, output)
        report(start_line(trainer.progress.best))
    writer = SummaryWriter(str(output), purge_step=trainer.progress.epoch + 1)
    try:
        while not finished(config, trainer.progress):
            start = time.perf_counter()
            metrics = train_epoch(config, material, trainer)
            metrics |= validate(config, material, trainer)
            metrics["seconds"] = time.perf_counter() - start
            select = config.training.select
            better = rank(metrics, select) > rank(trainer.progress.best, select)
            progress = advance(trainer.progress, metrics, better)
            trainer.progress = progress
            if better:
                save_checkpoint(as_checkpoint(config, material, trainer.model, metrics), output / MODEL_FILE)
            lines = "".join(json.dumps(m) + "\n" for m in progress.metrics)
            write_whole(output / "metrics.jsonl", lines)
            save_resume_state(state_of(trainer), output / RESUME_FILE)
            for name, value in metrics.items():
                writer.add_scalar(name, value, progress.epoch)
            writer.flush()
            report(epoch_line(config, metrics, better))
    finally:
        writer.close()
    return output / MODEL_FILE


def train_epoch(config: TrainConfig, material: Material, trainer: Trainer) -> dict[str, float]:
    """One pass over the training split; returns means over it."""
    model, epoch = trainer.model.train(), trainer.progress.epoch
    batches = epoch_batches(
        material.train,
        material.captions,
        config.training.batch_size,
        config.training.seed,
        epoch,
        config.training.captions_per_image,
    )
    steps = math.ceil(len(material.train) / config.training.batch_size)
    title = f"epoch {epoch + 1}/{config.training.epochs}"
    bar = tqdm(batches, title, steps, unit="batch", leave=False, disable=not config.run.progress)
    nll, penalty, norm = 0.0, 0.0, 0.0
    words, captions, reward = 0, 0, 0.0
    start = time.perf_counter()
    for step, (features, batch, images) in enumerate(bar):
        with autocast(trainer.device, config.training.precision):
            loss = batch_loss(config, trainer, features.to(trainer.device), batch, images)
        (loss.total / loss.captions).backward()
        clipped = nn.utils.clip_grad_norm_(model.parameters(), config.training.clip_norm or math.inf)
        if not math.isfinite(loss.total.item() + clipped.item()):
            raise CaptionerError(
                f"training: the loss is no longer finite (epoch {epoch + 1}, step {step + 1}, "
                f"loss {loss.total.item():g}); lower optimizer.learning_rate or training.clip_norm"
            )
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.schedule.step()
        nll, penalty, norm = (
            nll + loss.nll.item(),
            penalty + loss.penalty.item(),
            norm + clipped.item(),
        )
        words, captions = words + loss.words, captions + loss.captions
        reward += loss.reward or 0.0
        rate = words / (time.perf_counter() - start)
        gain = f"loss {nll / words:.3f}" if loss.reward is None else f"reward {reward / captions:.3f}"
        bar.set_postfix_str(f"{gain}, {rate:,.0f} words/s", refresh=False)
    return {
        "epoch": epoch + 1,
        "train_nll": nll / words,
        **({} if trainer.self_critical is None else {"reward": reward / captions}),
        "attention_penalty": penalty / captions,
        "gradient_norm": norm / steps,
        "learning_rate": trainer.optimizer.param_groups[0]["lr"],
        "words_per_second": words / (time.perf_counter() - start),
    }


def batch_loss(
    config: TrainConfig, trainer: Trainer, features: Tensor, captions: Captions, images: list[int]
) -> Loss:
    """What the phase minimises; ``images`` says which of the training split's the batch holds."""
    model = trainer.model
    if trainer.self_critical is not None:
        return trainer.self_critical(model, features, images)
    unrolled = model(features, captions.to(trainer.device))
    smoothing = config.training.label_smoothing
    return caption_loss(model.decoder, unrolled, config.attention, smoothing, trainer.baseline)


def validate(config: TrainConfig, material: Material, trainer: Trainer) -> dict[str, float]:
    """Scores of free-running captions of the validation split, never teacher-forced."""
    with autocast(trainer.device, config.training.precision):
        hypotheses = caption_split(
            trainer.model, material.val, config.search, trainer.device, progress=config.run.progress
        )
    return score_captions(hypotheses, material.val.records, material.vocabulary)


def begin_with(config: TrainConfig, material: Material, trainer: Trainer, output: Path) -> None:
    """Let the weights of ``init`` be the first best ones, so that the run ends with none that are worse."""
    metrics = {"epoch": 0, **validate(config, material, trainer)}
    trainer.progress = Progress(best=metrics, metrics=[metrics])
    save_checkpoint(as_checkpoint(config, material, trainer.model, metrics), output / MODEL_FILE)


def finished(config: TrainConfig, progress: Progress) -> bool:
    """Whether all epochs are done, or the validation score has long stopped rising."""
    patience = config.training.patience
    stopped = bool(patience) and progress.stale_epochs >= patience
    return stopped or progress.epoch >= config.training.epochs


def rank(metrics: dict[str, float], select: str = "BLEU-4") -> list[float]:
    """What epochs are compared by: the score ``select``, and while it is still zero, BLEU of lower order."""
    return [metrics.get(name, -1.0) for name in (select, "BLEU-4", "BLEU-3", "BLEU-2", "BLEU-1")]


def advance(progress: Progress, metrics: dict[str, float], better: bool) -> Progress:
    """The progress after an epoch with these metrics."""
    return Progress(
        progress.epoch + 1,
        metrics if better else progress.best,
        0 if better else progress.stale_epochs + 1,
        [*progress.metrics, metrics],
    )


def as_checkpoint(
    config: TrainConfig, material: Material, model: Captioner, scores: dict[str, float]
) -> Checkpoint:
    """The model with all that using it needs; its configuration holds no path of this machine."""
    weights = config.encoder.weights
    encoder = replace(config.encoder, weights=None if weights is None else Path(weights).name)
    model_config = ModelConfig(encoder, config.cell, config.attention, config.decoder)
    return Checkpoint(model, material.vocabulary, model_config, scores)


def describe(material: Material) -> str:
    """One line about what is about to be trained."""
    trained = sum(p.numel() for p in material.model.parameters() if p.requires_grad)
    rows, columns = material.model.encoder.grid
    return (
        f"{len(material.train):,} images with {sum(map(len, material.captions)):,} captions to train on, "
        f"{len(material.val):,} images to validate on, {len(material.vocabulary):,} words, "
        f"{rows}x{columns} locations, {trained:,} trained parameters"
    )


def start_line(metrics: dict[str, float]) -> str:
    """One line about the weights that a run starts from."""
    return f"start  {_scores(metrics)}"


def epoch_line(config: TrainConfig, metrics: dict[str, float], better: bool) -> str:
    """One line about a finished epoch."""
    minutes, seconds = divmod(round(metrics["seconds"]), 60)
    gain = f"reward {metrics['reward']:.3f}" if "reward" in metrics else f"loss {metrics['train_nll']:.3f}"
    return (
        f"epoch {metrics['epoch']:.0f}/{config.training.epochs}  {gain}  "
        f"{_scores(metrics)}{' *' if better else '  '}  "
        f"{metrics['words_per_second']:,.0f} words/s  {minutes}:{seconds:02d}"
    )


def _scores(metrics: dict[str, float]) -> str:
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in SELECTIONS if name in metrics)
