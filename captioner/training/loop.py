"""Training, as free functions around one visible loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from captioner.checkpoint.file import Checkpoint, load_checkpoint
from captioner.config.model import ModelConfig
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.evaluation.captions import caption_split
from captioner.features.batches import epoch_batches
from captioner.kernels.compiler import use_compiler
from captioner.kernels.precision import autocast
from captioner.model.rows import Captions
from captioner.model.timm_networks import settled
from captioner.system.device import choose_device
from captioner.system.signals import Stop, Stopped
from captioner.system.terminal import no_bar
from captioner.training.loss import Loss, caption_loss, guided
from captioner.training.progress import Progress, Sums, repeatable
from captioner.training.reporting import epoch_line, gain, setup_line, start_line
from captioner.training.run_folder import (
    MODEL_FILE,
    RESUME_FILE,
    Saver,
    begun,
    load_resume_state,
    publish,
    remove_run,
    run_folder,
    tensorboard,
    write_config,
)
from captioner.training.setup import Setup, check_training, prepare
from captioner.training.state import TrainingState, build_state, restore
from captioner.training.trained_on import check_words

Report = Callable[[str], None]


def train(config: TrainConfig, output: Path, resume: bool = False, report: Report = print) -> Setup:
    """Train a model and keep the weights that caption the validation split best.

    Ctrl-C and SIGTERM save the run's state before they stop it.

    Args:
        output: the run folder: model.safetensors, resume.pt, config.yaml, metrics.jsonl, timings.jsonl
            and TensorBoard events.
        resume: continue from the state that the folder holds.
        report: called with one readable line per epoch.

    Returns:
        What the run worked on. Its model has the last weights; the best ones are in the model file.

    Raises:
        CaptionerError: the configuration or the data is wrong, a resumed run's data is not what it was, the
            folder cannot be written, or the loss is no longer finite.
        Stopped: a signal has arrived.
    """
    check_training(config)
    config = replace(config, encoder=settled(config.encoder))
    with run_folder(output), Stop() as stop:
        torch.manual_seed(config.training.seed)
        use_compiler(config.run.compile)
        device = choose_device(config.run.device)
        if not resume:
            if config.overwrite:
                remove_run(output)
            write_config(config, output)
        saved = load_resume_state(output / RESUME_FILE) if resume and begun(output) else None
        setup = prepare(config, device, saved)
        state = build_state(config, setup, device)
        if saved is not None:
            if "data" not in saved and (output / MODEL_FILE).exists():
                check_words(load_checkpoint(output / MODEL_FILE).vocabulary, setup.vocabulary)
            restore(state, saved)
            del saved  # as large as the weights and the optimizer's state
            write_config(config, output)
        saver = Saver(state, output, config.training.save_minutes)
        report(setup_line(setup))
        if setup.told:
            report(setup.told)
        if config.init is not None and not state.progress.metrics:
            begin_with(config, setup, state, saver)
            report(start_line(state.progress))
        with tensorboard(output, state.progress) as writer:
            publish(as_checkpoint(config, setup, state), state, output, writer)
            try:
                while not state.progress.finished(config.training):
                    fit_epoch(config, setup, state, saver, stop)
                    publish(as_checkpoint(config, setup, state), state, output, writer)
                    report(epoch_line(config, state.progress))
                    stop.check()
            except Stopped:
                if stop.patient:  # otherwise it arrived within a step
                    saver.save()
                raise
    return setup


def fit_epoch(config: TrainConfig, setup: Setup, state: TrainingState, saver: Saver, stop: Stop) -> None:
    """Train for an epoch, or the rest of one, validate, and save."""

    def after_step() -> None:
        stop.check()
        saver.save_if_due()

    progress = state.progress
    if not progress.trained:
        progress.trained = train_epoch(config, setup, state, after_step)
    start = time.perf_counter()
    metrics = progress.trained | validate(config, setup, state, stop.check)
    metrics["seconds"] += time.perf_counter() - start
    state.progress = progress.advance(metrics, config.training.select)
    saver.save()


def train_epoch(
    config: TrainConfig,
    setup: Setup,
    state: TrainingState,
    after_step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """One pass over the training split, or the rest of one; returns means over the whole epoch."""
    model, options, sums = state.model.train(), config.training, state.progress.sums
    epoch = state.progress.epoch
    model.decoder.attention.look.begin_epoch(epoch / options.epochs)
    batches = epoch_batches(
        setup.train,
        options.batch_size,
        options.seed,
        epoch,
        options.captions_per_image,
        skip=sums.images,
        flip=options.flip,
        crop=options.crop,
        mosaics=options.mosaics,
    )
    steps = math.ceil((len(setup.train.photos) - sums.images) / options.batch_size)
    title = f"epoch {epoch + 1}/{options.epochs}"
    bar = tqdm(
        batches,
        title,
        sums.steps + steps,
        initial=sums.steps,
        unit="batch",
        leave=False,
        disable=no_bar(config.run.progress),
    )
    start = time.perf_counter()
    for features, batch, images in bar:
        with autocast(state.device, options.precision):
            loss = batch_loss(config, state, features.to(state.device), batch, images)
        (loss.total / loss.captions).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm or math.inf).item()
        if not math.isfinite(loss.total.item() + norm):
            raise CaptionerError(
                f"training: the loss is no longer finite (epoch {epoch + 1}, step {sums.steps + 1}, "
                f"loss {loss.total.item():g}); lower optimizer.learning_rate or training.clip_norm"
            )
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.schedule.step()
        if state.average is not None:
            state.average.update_parameters(model)
        sums.add(loss, len(images), norm, time.perf_counter() - start)
        bar.set_postfix_str(f"{gain(sums.means())}, {sums.words / sums.seconds:,.0f} words/s", refresh=False)
        after_step()
        start = time.perf_counter()
    state.progress.sums = Sums()
    return {
        "epoch": epoch + 1,
        **sums.means(),
        "learning_rate": state.optimizer.param_groups[0]["lr"],
    }


def batch_loss(
    config: TrainConfig, state: TrainingState, features: Tensor, captions: Captions, images: list[int]
) -> Loss:
    """What the phase minimizes; ``images`` are the numbers that :func:`epoch_batches` gives."""
    model = state.model
    if state.self_critical is not None and captions.quadrant is None:
        return state.self_critical(model, features, images)
    unrolled = model(features, captions.to(state.device))
    smoothing = config.training.label_smoothing
    loss = caption_loss(model.decoder, unrolled, config.attention, smoothing, state.baseline)
    return guided(loss, unrolled, config.training.mosaic_guidance)


def validate(
    config: TrainConfig,
    setup: Setup,
    state: TrainingState,
    after_batch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Scores of free-running captions of the validation split, never teacher-forced.

    Restores the random state, so that a run stopped here can be saved.
    """
    devices = [state.device] if state.device.type == "cuda" else []
    with autocast(state.device, config.training.precision), torch.random.fork_rng(devices):
        hypotheses = caption_split(
            state.kept,
            setup.val,
            config.search,
            state.device,
            progress=config.run.progress,
            after_batch=after_batch,
        )
    return setup.references.scores(hypotheses)


def begin_with(config: TrainConfig, setup: Setup, state: TrainingState, saver: Saver) -> None:
    """Count the weights of ``init`` as the best so far, so that the run never ends with worse ones."""
    metrics = {"epoch": 0, **validate(config, setup, state)}
    state.progress = Progress(best=metrics, metrics=[metrics])
    saver.save()


def as_checkpoint(config: TrainConfig, setup: Setup, state: TrainingState) -> Checkpoint:
    """The model with all that using it needs; its configuration contains no local path."""
    weights = config.encoder.weights
    encoder = replace(config.encoder, weights=None if weights is None else Path(weights).name)
    model_config = ModelConfig(encoder, config.cell, config.attention, config.decoder)
    scores = repeatable(state.progress.best)
    return Checkpoint(state.kept, setup.vocabulary, model_config, scores)
