"""Training, as free functions around one visible loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from captioner.checkpoint.file import load_checkpoint
from captioner.config.schema import TrainConfig
from captioner.features.ahead import moved_ahead
from captioner.features.batches import epoch_batches
from captioner.kernels.compiler import use_compiler
from captioner.model.timm_networks import settled
from captioner.system.signals import Stop, Stopped
from captioner.system.terminal import no_bar
from captioner.training.beginning import beginning
from captioner.training.found import check_found
from captioner.training.gradient import step_gradient
from captioner.training.progress import Progress, Sums
from captioner.training.ranks import ALONE, Ranks
from captioner.training.rendezvous import joined
from captioner.training.reporting import epoch_line, gain, ranks_line, setup_line, start_line
from captioner.training.run_folder import (
    MODEL_FILE,
    RESUME_FILE,
    Saver,
    begun,
    load_resume_state,
    publish,
    run_folder,
    tensorboard,
    write_config,
)
from captioner.training.setup import Setup, check_training, prepare
from captioner.training.state import TrainingState, as_checkpoint, build_state, restore
from captioner.training.trained_on import check_words
from captioner.training.unread import Figures
from captioner.training.validation import validate

Report = Callable[[str], None]


def train(
    config: TrainConfig,
    output: Path,
    resume: bool = False,
    report: Report = print,
    ranks: Ranks = ALONE,
    mark: str = "",
) -> Setup:
    """Train a model and keep the weights that caption the validation split best.

    Ctrl-C and SIGTERM save the run's state before they stop it.

    Args:
        output: the run folder: model.safetensors, resume.pt, config.yaml, metrics.jsonl, timings.jsonl
            and TensorBoard events.
        resume: continue from the state that the folder holds.
        report: called with one readable line per epoch.
        ranks: this process among those that train the model; all of them call this.
        mark: a comment for config.yaml, about who began the run.

    Returns:
        What the run worked on. Its model has the last weights; the best ones are in the model file.

    Raises:
        CaptionerError: the configuration or the data is wrong, a resumed run's data is not what it was, the
            folder cannot be written, or the loss is no longer finite.
        Stopped: a signal has arrived; StoppedEarly where it found the run that this one was to replace.
    """
    check_training(config)
    config = replace(config, encoder=settled(config.encoder))
    if not ranks.first:
        config, report = replace(config, run=replace(config.run, progress=False)), lambda _: None
    with (
        run_folder(output) if ranks.first else nullcontext(),
        Stop(again=not ranks.several) as stop,
        beginning(output, config, mark) if ranks.first and not resume else nullcontext(lambda: None) as ready,
    ):
        torch.manual_seed(config.training.seed)
        use_compiler(config.run.compile)
        device = ranks.device(config.run.device)
        saved = load_resume_state(output / RESUME_FILE) if resume and begun(output) else None
        with ranks.all_cores():
            setup = prepare(config, device, saved)
        with joined(ranks, device, stop):  # not before: nobody waits for photos in a collective
            check_found(ranks, output, mark, saved is not None, report)
            state, saved = build_state(config, setup, device, ranks), ranks.from_first(saved)
            if saved is not None:
                if "data" not in saved and (output / MODEL_FILE).exists():
                    check_words(load_checkpoint(output / MODEL_FILE).vocabulary, setup.vocabulary)
                restore(state, saved)
                if ranks.first:
                    write_config(config, output, mark)
            ready()
            del saved  # as large as the weights and the optimizer's state
            fit(config, setup, state, output, stop, report)
    return setup


def fit(
    config: TrainConfig, setup: Setup, state: TrainingState, output: Path, stop: Stop, report: Report
) -> None:
    """Train to the end, or from where a run was left."""
    ranks, saver = state.ranks, Saver(state, output, config.training.save_minutes)
    report(setup_line(setup))
    if ranks.several:
        report(ranks_line(state))
    if setup.told:
        report(setup.told)
    if setup.changed and ranks.first:
        print(f"captioner: {setup.changed}", file=sys.stderr)
    if config.init is not None and not state.progress.metrics:
        begin_with(config, setup, state, saver)
        report(start_line(state.progress))
    with tensorboard(output, state.progress) if ranks.first else nullcontext() as writer:
        publish(as_checkpoint(config, setup, state), state, output, writer)
        try:
            while not state.progress.finished(config.training):
                fit_epoch(config, setup, state, saver, stop)
                publish(as_checkpoint(config, setup, state), state, output, writer)
                report(epoch_line(config, state.progress))
                ranks.check(stop)
        except Stopped:
            if stop.patient:  # otherwise it arrived within a step
                saver.save()
                ranks.wait()  # the launcher ends them all when one has ended
            raise


def fit_epoch(config: TrainConfig, setup: Setup, state: TrainingState, saver: Saver, stop: Stop) -> None:
    """Train for an epoch, or the rest of one, validate, and save."""

    def check() -> None:
        state.ranks.check(stop)

    def after_step() -> None:
        check()
        saver.save_if_due()

    progress = state.progress
    if not progress.trained:
        progress.trained = train_epoch(config, setup, state, after_step)
    start = time.perf_counter()
    metrics = progress.trained | validate(config, setup, state, check)
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
    model, options, progress = state.model.train(), config.training, state.progress
    epoch, sums, ranks = progress.epoch, progress.sums, state.ranks
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
        rank=ranks.rank,
        ranks=ranks.size,
        parts=options.accumulate,
    )
    batches = moved_ahead(batches, state.device)
    steps = math.ceil((len(setup.train.photos) - sums.images) / options.batch_size)
    title = f"epoch {epoch + 1}/{options.epochs}"
    bar = tqdm(
        range(steps),
        title,
        sums.steps + steps,
        initial=sums.steps,
        unit="batch",
        leave=False,
        disable=no_bar(config.run.progress),
    )
    start, seen = time.perf_counter(), sums.images
    for _ in bar:
        ranks.seed(options.seed, epoch, seen)
        loss, images = step_gradient(state, batches, options.precision)
        loss, seen = ranks.summed(loss), seen + images
        norm = nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm or math.inf)
        state.unread.add(Figures(loss, norm, images), progress)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.schedule.step()
        if state.average is not None:
            state.average.update_parameters(model)
        sums.seconds += time.perf_counter() - start
        if sums.steps:
            told = f"{gain(sums.means())}, {sums.words / sums.seconds:,.0f} words/s"
            bar.set_postfix_str(told, refresh=False)
        after_step()
        start = time.perf_counter()
    state.unread.settle(progress)
    sums.seconds += time.perf_counter() - start
    progress.sums = Sums()
    return {
        "epoch": epoch + 1,
        **sums.means(),
        "learning_rate": state.optimizer.param_groups[0]["lr"],
    }


def begin_with(config: TrainConfig, setup: Setup, state: TrainingState, saver: Saver) -> None:
    """Count the weights of ``init`` as the best so far, so that the run never ends with worse ones."""
    metrics = {"epoch": 0, **validate(config, setup, state)}
    state.progress = Progress(best=metrics, metrics=[metrics])
    saver.save()
