"""Learning from trained models: the loss, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from captioner.checkpoint.file import load_checkpoint, save_checkpoint
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.features.batches import epoch_batches
from captioner.training.loop import train
from captioner.training.loss import caption_loss
from captioner.training.run_folder import MODEL_FILE
from captioner.training.setup import Setup, prepare
from captioner.training.state import TrainingState, as_checkpoint, build_state
from tests.support import tiny

CPU = torch.device("cpu")


def config_of(folder: Path, **training: object) -> TrainConfig:
    config = tiny.config(folder, **training)
    config.encoder.fine_tune = False
    config.decoder.dropout, config.attention.penalty = 0.0, 0.0
    return config


def teacher(folder: Path, seed: int) -> str:
    config = config_of(folder, seed=seed)
    torch.manual_seed(seed)
    setup = prepare(config, CPU)
    path = folder / f"{seed}.safetensors"
    save_checkpoint(as_checkpoint(config, setup, build_state(config, setup, CPU)), path)
    return str(path)


def frozen(folder: Path, seed: int = 5, **training: object) -> tuple[TrainConfig, Setup, TrainingState]:
    """The student's set-up, its trunk the same as the teachers', whose weights are drawn first."""
    config = config_of(folder, **training)
    torch.manual_seed(seed)
    setup = prepare(config, CPU)
    return config, setup, build_state(config, setup, CPU)


def test_a_model_learns_nothing_more_from_itself(tmp_path: Path) -> None:
    """Cross entropy against a distribution is least where the own one equals it."""
    path = teacher(tmp_path, 3)
    _, setup, state = frozen(tmp_path, 3, teachers=[path], teacher_weight=1.0)
    batch = next(iter(epoch_batches(setup.train, 4, 0, 0)))
    state.objective(batch).total.backward()
    largest = max(float(p.grad.abs().max()) for p in state.model.parameters() if p.grad is not None)
    assert largest < 1e-5
    state.model.zero_grad()
    with torch.no_grad():
        state.model.decoder.word_output.bias[3] += 1
    state.objective(batch).total.backward()
    assert float(state.model.decoder.word_output.bias.grad.abs().max()) > 0.1


def test_the_loss_is_a_mean_of_both_word_by_word(tmp_path: Path) -> None:
    config, setup, state = frozen(tmp_path)
    config.attention.penalty = 0.5
    batch = next(iter(epoch_batches(setup.train, 4, 0, 0)))
    unrolled = state.model(batch.features, batch.captions)
    generator = torch.Generator().manual_seed(0)
    expected = torch.rand(len(unrolled.targets), len(setup.vocabulary), generator=generator)
    expected /= expected.sum(-1, keepdim=True)
    plain = caption_loss(state.model.decoder, unrolled, config.attention, 0.1)
    both = caption_loss(
        state.model.decoder, unrolled, config.attention, 0.1, expected=expected, teacher_weight=0.3
    )
    log_p = state.model.decoder.logits(unrolled.steps).log_softmax(-1)
    of_words = sum(-(float((q * p).sum())) for q, p in zip(expected, log_p.detach()))
    penalty = config.attention.penalty * plain.penalty
    wanted = 0.7 * (plain.total - penalty) + 0.3 * of_words + penalty
    torch.testing.assert_close(both.total, wanted)
    assert torch.equal(both.nll, plain.nll)


def test_a_teacher_of_other_words_or_another_trunk_is_refused(tmp_path: Path) -> None:
    path = teacher(tmp_path, 3)
    with pytest.raises(CaptionerError, match="another encoder than this run before its trained part"):
        frozen(tmp_path, 4, teachers=[path])
    config = config_of(tmp_path, teachers=[path])
    config.vocabulary.min_count = 30
    torch.manual_seed(3)
    setup = prepare(config, CPU)
    with pytest.raises(CaptionerError, match="has other words than this run"):
        build_state(config, setup, CPU)


def test_a_teachers_trained_stages_may_begin_later(tmp_path: Path) -> None:
    path = teacher(tmp_path, 3)  # all frozen
    config = config_of(tmp_path, teachers=[path])
    config.encoder.fine_tune = "stage2"
    torch.manual_seed(3)
    setup = prepare(config, CPU)
    student = build_state(config, setup, CPU)
    batch = next(iter(epoch_batches(setup.train, 4, 0, 0)))
    alone = load_checkpoint(path).model
    between = alone.encoder.stages[student.model.encoder.first_trained :]
    assert len(between)
    assert student.objective.teachers is not None
    with torch.no_grad():
        steps = alone(between(batch.features), batch.captions).steps
        wanted = alone.decoder.logits(steps).softmax(-1)
    found = student.objective.teachers(batch.features, batch.captions)
    torch.testing.assert_close(found, wanted)


def test_a_teacher_may_be_rounded_to_half_precision(tmp_path: Path) -> None:
    path = teacher(tmp_path, 3)
    checkpoint = load_checkpoint(path)
    with torch.no_grad():
        for weight in checkpoint.model.encoder.parameters():
            weight.copy_(weight.half())
    save_checkpoint(checkpoint, Path(path))
    _, _, state = frozen(tmp_path, 3, teachers=[path])
    assert state.data["teachers"]


def test_a_resumed_run_keeps_its_teachers(tmp_path: Path) -> None:
    made = tiny.config(tmp_path, seed=1)
    train(made, tmp_path / "first", report=tiny.silent)
    path = tmp_path / "first" / MODEL_FILE
    config = tiny.config(tmp_path, teachers=[str(path)])
    config.encoder.weights = None
    train(config, tmp_path / "second", report=tiny.silent)
    path.write_bytes((tmp_path / "second" / MODEL_FILE).read_bytes())
    longer = replace(config, training=replace(config.training, epochs=2))
    with pytest.raises(CaptionerError, match="not those that the run began with"):
        train(longer, tmp_path / "second", resume=True, report=tiny.silent)
