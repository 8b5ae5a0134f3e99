"""Training: exactly resumable, repeatable, and stopped where it should be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny
from torch import nn

from captioner.checkpoint.file import load_checkpoint
from captioner.cli.main import main
from captioner.config.model import (
    CellConfig,
    CoupledConfig,
    GRUConfig,
    HardAttentionConfig,
    LSTMConfig,
    PeepholeConfig,
    VanillaConfig,
)
from captioner.config.schema import TrainConfig
from captioner.config.training import OptimizerConfig
from captioner.errors import CaptionerError
from captioner.model.attention import Attention
from captioner.model.memory import Glimpse
from captioner.training import loop, objective
from captioner.training.loop import train, train_epoch
from captioner.training.optimization import build_optimizer, build_schedule
from captioner.training.run_folder import load_resume_state
from captioner.training.setup import Setup, prepare
from captioner.training.state import TrainingState, build_state

CPU = torch.device("cpu")
CLOCK = ("seconds", "words_per_second")  # what no two runs have in common


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights after the last epoch."""
    return load_resume_state(folder / "resume.pt")["model"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]


def started(config: TrainConfig) -> tuple[Setup, TrainingState]:
    """All that :func:`train_epoch` wants."""
    torch.manual_seed(config.training.seed)
    setup = prepare(config, CPU)
    return setup, build_state(config, setup, CPU)


def scripted(scores: list[float]) -> Callable[..., dict[str, float]]:
    """A validation that finds these scores, one an epoch."""
    remaining = iter(scores)
    return lambda *_: {"BLEU-4": next(remaining)}


# --- the same again -------------------------------------------------------------------------------


def interrupted_after(epochs: int) -> Callable[[str], None]:
    """A report that presses Ctrl-C when so many epochs are told."""

    def report(line: str) -> None:
        if line.startswith(f"epoch {epochs}/"):
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize(("attention", "epochs"), [("soft", 1), ("hard", 2)])
def test_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    tmp_path: Path, attention: str, epochs: int
) -> None:
    config = tiny.config(tmp_path, epochs=3)
    if attention == "hard":
        config.attention = HardAttentionConfig(size=16)
    train(config, tmp_path / "whole", report=tiny.silent)
    config.run.cache = str(tmp_path / "other cache")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts", report=interrupted_after(epochs))
    assert len(metrics(tmp_path / "parts")) == epochs
    train(config, tmp_path / "parts", resume=True, report=tiny.silent)
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    models = [load_checkpoint(tmp_path / run).model.state_dict() for run in ("parts", "whole")]
    assert same(*models)


def test_run_killed_within_an_epoch_resumes_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.config(tmp_path, epochs=2)
    train(config, tmp_path / "whole", report=tiny.silent)
    config.run.cache = str(tmp_path / "other cache")
    with monkeypatch.context() as patch:
        real, calls = objective.caption_loss, iter(range(6))  # an epoch has 4 steps

        def killed(*arguments: Any) -> Any:
            if next(calls) == 5:
                raise KeyboardInterrupt
            return real(*arguments)

        patch.setattr(objective, "caption_loss", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "parts", report=tiny.silent)
    train(config, tmp_path / "parts", resume=True, report=tiny.silent)
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    for run in (tmp_path / "one", tmp_path / "two"):
        train(tiny.config(run), run, report=tiny.silent)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert metrics(tmp_path / "one") == metrics(tmp_path / "two")


def test_run_is_the_same_whether_its_cache_was_there(tmp_path: Path) -> None:
    for run in (tmp_path / "builds", tmp_path / "finds"):
        train(tiny.config(tmp_path), run, report=tiny.silent)
    assert same(weights(tmp_path / "builds"), weights(tmp_path / "finds"))


def test_other_seed_gives_another_run(tmp_path: Path) -> None:
    for seed in (0, 1):
        train(tiny.config(tmp_path, seed=seed), tmp_path / str(seed), report=tiny.silent)
    assert not same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_state_of_another_model_is_refused(tmp_path: Path) -> None:
    train(tiny.config(tmp_path), tmp_path / "run", report=tiny.silent)
    with pytest.raises(CaptionerError, match=r"^resume: .*$"):
        train(tiny.config(tmp_path, GRUConfig()), tmp_path / "run", resume=True, report=tiny.silent)


# --- what an epoch does ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        VanillaConfig(),
        LSTMConfig(),
        PeepholeConfig(),
        CoupledConfig(),
        GRUConfig(),
        GRUConfig(reset_after=True),
    ],
    ids=lambda cell: f"{cell.name}{'-reset-after' * getattr(cell, 'reset_after', False)}",
)
def test_loss_falls_with_every_cell(tmp_path: Path, cell: CellConfig) -> None:
    config = tiny.config(tmp_path, cell, schedule="constant", warmup=0.0)
    setup, state = started(config)
    first, second = (train_epoch(config, setup, state)["train_nll"] for _ in range(2))
    assert second < first < math.log(len(setup.vocabulary)) + 0.5


@pytest.mark.parametrize("gate", ["none", "scalar", "vector"])
@pytest.mark.parametrize("attention", ["soft", "hard"])
def test_loss_falls_with_every_attention_and_gate(tmp_path: Path, attention: str, gate: str) -> None:
    config = tiny.config(tmp_path, schedule="constant", warmup=0.0)
    config.decoder.gate, config.decoder.deep_output = gate, gate != "vector"
    if attention == "hard":
        config.attention = HardAttentionConfig(size=16)
    setup, state = started(config)
    first, second = (train_epoch(config, setup, state)["train_nll"] for _ in range(2))
    assert second < first


def test_hard_attention_starts_soft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No location is drawn in the first half of the epochs, some are in the second."""
    drawn: list[bool] = []
    epochs: list[bool] = []
    forward = Attention.forward

    def watched(self: Attention, *arguments: Any) -> Glimpse:
        glimpse = forward(self, *arguments)
        if glimpse.log_prob_drawn is not None:
            drawn.append(bool((glimpse.log_prob_drawn < 0).any()))
        return glimpse

    def epoch_ended(_: str) -> None:
        epochs.append(any(drawn))
        drawn.clear()

    monkeypatch.setattr(Attention, "forward", watched)
    config = tiny.config(tmp_path, epochs=4)
    config.attention = HardAttentionConfig(size=16)
    train(config, tmp_path / "run", report=epoch_ended)
    assert epochs == [False, False, False, True, True]  # the first report tells what there is


def test_loss_falls_far_in_the_end() -> None:
    losses = [entry["train_nll"] for entry in metrics(tiny.model_file().parent)]
    assert losses[-1] < 0.5 * losses[0]


def test_bf16_trains_nearly_as_fp32(tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        config = tiny.config(tmp_path, precision=precision)
        losses[precision] = train_epoch(config, *started(config))["train_nll"]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


@pytest.mark.parametrize(
    ("fine_tune", "frozen"), [(False, 4), ("stage3", 3), ("stage1", 1), (True, 0)], ids=str
)
def test_frozen_stages_and_their_statistics_stay_as_they_were(
    tmp_path: Path, fine_tune: bool | str, frozen: int
) -> None:
    config = tiny.config(tmp_path)
    config.encoder.fine_tune = fine_tune
    setup, state = started(config)
    stages = state.model.encoder.stages
    before = [{k: v.clone() for k, v in stage.state_dict().items()} for stage in stages]
    train_epoch(config, setup, state)
    unchanged = [same(old, stage.state_dict()) for old, stage in zip(before, stages)]
    assert unchanged == [i < frozen for i in range(4)]


def on_one_location(tmp_path: Path, **training: Any) -> TrainConfig:
    """Five images of eight pixels, of which the encoder leaves one: BatchNorm sees a value per image."""
    config = tiny.config(tmp_path, **training)
    config.encoder.image_size = 8
    config.data = replace(config.data, train=5)
    return config


def test_last_batch_of_one_image_is_normalized_as_the_images_before(tmp_path: Path) -> None:
    config = on_one_location(tmp_path)
    setup, state = started(config)
    norm = state.model.encoder.stages[3][1]
    statistics: list[torch.Tensor] = []
    state.optimizer.register_step_post_hook(lambda *_: statistics.append(norm.running_var.clone()))
    assert math.isfinite(train_epoch(config, setup, state)["gradient_norm"])
    assert len(statistics) == 2 and torch.equal(*statistics) and norm.training
    assert not torch.equal(statistics[0], torch.ones_like(statistics[0]))


def test_batches_of_one_image_that_cannot_be_normalized_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match=r"^training.batch_size: 1 .*at least 2.*$"):
        train(on_one_location(tmp_path, batch_size=1), tmp_path / "run", report=tiny.silent)
    assert not (tmp_path / "run").exists()


def gradient_norms(config: TrainConfig) -> list[float]:
    """The norm of all gradients as the optimizer sees them, at every step of an epoch."""
    setup, state = started(config)
    norms: list[float] = []

    def measure(*_: object) -> None:
        gradients = [p.grad for p in state.model.parameters() if p.grad is not None]
        norms.append(math.sqrt(sum(g.square().sum().item() for g in gradients)))

    state.optimizer.register_step_pre_hook(measure)
    train_epoch(config, setup, state)
    return norms


def test_gradients_are_clipped(tmp_path: Path) -> None:
    assert gradient_norms(tiny.config(tmp_path, clip_norm=0.5)) == [pytest.approx(0.5, rel=1e-3)] * 4


def test_clip_norm_0_clips_nothing(tmp_path: Path) -> None:
    norms = gradient_norms(tiny.config(tmp_path / "1", clip_norm=0.0))
    assert norms == gradient_norms(tiny.config(tmp_path / "2", clip_norm=1e9))
    assert max(norms) > 5


def test_every_caption_is_seen_once_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.config(tmp_path)
    setup, state = started(config)
    words, real = [], objective.caption_loss

    def counted(decoder: nn.Module, unrolled: Any, *rest: Any) -> Any:
        words.extend(unrolled.targets.tolist())
        return real(decoder, unrolled, *rest)

    monkeypatch.setattr(objective, "caption_loss", counted)
    train_epoch(config, setup, state)
    expected = [word for captions in setup.train.captions for caption in captions for word in caption]
    assert sorted(words) == sorted(expected)


# --- when to stop, and what to keep ---------------------------------------------------------------


def test_loss_that_is_not_finite_stops_with_a_clear_error(tmp_path: Path) -> None:
    config = tiny.config(tmp_path, warmup=0.0)
    config.optimizer.learning_rate = 1e30
    with pytest.raises(CaptionerError) as caught:
        train(config, tmp_path / "run", report=tiny.silent)
    message = str(caught.value)
    assert "epoch 1, step 2" in message and "optimizer.learning_rate" in message and "\n" not in message
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_training_stops_when_the_score_has_long_not_risen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "validate", scripted([0.1, 0.3, 0.2, 0.3, 0.9]))
    train(tiny.config(tmp_path, epochs=5, patience=2), tmp_path / "run", report=tiny.silent)
    assert [entry["BLEU-4"] for entry in metrics(tmp_path / "run")] == [0.1, 0.3, 0.2, 0.3]


def test_patience_0_never_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "validate", scripted([0.3, 0.2, 0.1, 0.0]))
    train(tiny.config(tmp_path, epochs=4, patience=0), tmp_path / "run", report=tiny.silent)
    assert len(metrics(tmp_path / "run")) == 4


def test_model_file_holds_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = {"schedule": "constant", "warmup": 0.0}  # so that a shorter run begins the same
    monkeypatch.setattr(loop, "validate", scripted([0.1, 0.3, 0.2]))
    train(tiny.config(tmp_path / "1", epochs=3, **steady), tmp_path / "long", report=tiny.silent)
    monkeypatch.setattr(loop, "validate", scripted([0.1, 0.3]))
    train(tiny.config(tmp_path / "2", epochs=2, **steady), tmp_path / "short", report=tiny.silent)
    best = load_checkpoint(tmp_path / "long")
    assert best.scores["BLEU-4"] == 0.3 and best.scores["epoch"] == 2
    assert same(best.model.state_dict(), weights(tmp_path / "short"))
    assert not same(best.model.state_dict(), weights(tmp_path / "long"))


# --- the run folder -------------------------------------------------------------------------------


def test_run_folder_holds_all_that_is_promised() -> None:
    names = {path.name for path in tiny.model_file().parent.iterdir()}
    assert {"model.safetensors", "resume.pt", "config.yaml", "metrics.jsonl"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)


def test_tensorboard_holds_the_metrics_of_every_epoch() -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tiny.model_file().parent
    events = EventAccumulator(str(folder)).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train_nll")]
    assert shown == [(e["epoch"], pytest.approx(e["train_nll"])) for e in metrics(folder)]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status of ``captioner train ...``, and what it says on standard error."""
    with pytest.raises(SystemExit) as caught:
        main(["train", *arguments])
    return int(caught.value.code or 0), capsys.readouterr().err


@pytest.fixture
def overrides(tmp_path: Path) -> list[str]:
    return [*tiny.OVERRIDES, f"run.cache={tmp_path / 'cache'}"]


def test_folder_that_holds_a_run_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str]
) -> None:
    train(tiny.config(tmp_path), tmp_path / "run", report=tiny.silent)
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    status, line = told(capsys, *overrides, f"output={tmp_path / 'run'}", "training.seed=1")
    assert (status, line.count("\n")) == (2, 1) and f"resume={tmp_path / 'run'}" in line
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_command_line_resumes_with_more_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny.config(tmp_path), tmp_path / "run", report=tiny.silent)
    assert told(capsys, f"resume={tmp_path / 'run'}", "training.epochs=3") == (0, "")
    assert [entry["epoch"] for entry in metrics(tmp_path / "run")] == [1, 2, 3]


def test_resumed_run_cannot_change_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny.config(tmp_path), tmp_path / "run", report=tiny.silent)
    status, line = told(capsys, f"resume={tmp_path / 'run'}", "cell=gru")
    assert (status, line.count("\n")) == (2, 1) and "cell=gru" in line


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n" for before, after in pairwise("abcdefghijklmno")
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"\0",
        b"cell: [",
        b"- 3",
        b"3",
        b"cell: !!python/object:os.system {}",
        BOMB.encode(),
        b"[" * 50_000,
        b"# long\n" * 50_000,
        b"cell: ${cell}",
        b"cell: {name: lstm}\nzoom: 2",
        b"training: {epochs: 1}",
        b"a: 1\na: 2",
    ],
    ids=lambda content: content[:20],
)
@pytest.mark.parametrize("key", ["resume", "init"])
def test_damaged_configuration_of_a_run_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, content: bytes
) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    status, line = told(capsys, f"{key}={tmp_path}", *tiny.OVERRIDES[:1] * (key == "init"))
    assert (status, line.count("\n")) == (2, 1)
    assert line.startswith(f"captioner: {key}: {tmp_path / 'config.yaml'}: ")


def test_output_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    status, line = told(capsys, *overrides, f"output={tmp_path / 'file' / 'run'}")
    assert (status, line.count("\n")) == (2, 1) and "output" in line


def test_multirun_makes_a_run_of_every_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str]
) -> None:
    sweep = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    assert told(capsys, "-m", sweep, *overrides, "cell=lstm,gru") == (0, "")
    models = [load_checkpoint(path) for path in (tmp_path / "sweep").glob("**/model.safetensors")]
    assert {model.config.cell.name for model in models} == {"lstm", "gru"}


def test_multirun_writes_into_its_output_alone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sweep = [f"output={tmp_path / 'out'}", "run.compile=false", "cell=gru,lstm"]
    assert told(capsys, "-m", *overrides, *sweep) == (0, "")
    assert list((tmp_path / "here").iterdir()) == []
    assert not list(tmp_path.rglob("multirun.yaml"))
    assert {folder.name for folder in (tmp_path / "out").iterdir()} == {"0_gru", "1_lstm"}


def test_multirun_that_cannot_write_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    status, line = told(capsys, "-m", f"hydra.sweep.dir={tmp_path / 'file' / 'x'}", *overrides, "cell=gru")
    assert (status, line.count("\n")) == (2, 1) and "hydra.sweep.dir" in line


@pytest.mark.parametrize("there", [False, True])
def test_multirun_of_wrong_jobs_alone_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], there: bool
) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    status, lines = told(capsys, "-m", *overrides, f"output={out}", "training.epochs=0,-1")
    assert (status, lines.count("out of range")) == (2, 2)
    assert out.exists() == there


def test_multirun_over_paths_makes_a_run_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str]
) -> None:
    short = [override for override in overrides[:-1] if not override.startswith(("search", "data"))]
    sweep = (f"hydra.sweep.dir={tmp_path / 'sweep'}", f"run.cache={tmp_path / 'a'},{tmp_path / 'b'}")
    arguments = ("data.train=4", "data.val=4", "search=default", *short[5:], *sweep)
    assert told(capsys, "-m", *arguments) == (0, "")
    assert len(list((tmp_path / "sweep").glob("**/model.safetensors"))) == 2


# --- optimizer and schedule -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]),
        # a quarter of the way down: (1 + cos(pi / 4)) / 2
        ("cosine", [0.25, 0.5, 0.75, 1, 1, None, 0.5 + 0.5**1.5, None, 0.5, None, None, None, 0]),
    ],
)
def test_schedule_rises_then_falls(kind: str, expected: list[float | None]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = build_schedule(optimizer, kind, warmup=1 / 3, total_steps=12)
    for factor in expected:
        if factor is not None:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * factor)
        optimizer.step()
        schedule.step()


def test_schedule_stays_at_zero_after_its_end() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(optimizer, "cosine", warmup=0.0, total_steps=2)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_every_optimizer_lowers_the_loss(tmp_path: Path, name: str) -> None:
    config = tiny.config(tmp_path, schedule="constant", warmup=0.0)
    config.optimizer = OptimizerConfig(name, learning_rate=0.003)
    setup, state = started(config)
    first, second = (train_epoch(config, setup, state)["train_nll"] for _ in range(2))
    assert second < first


@pytest.mark.parametrize(
    ("pretrained", "given", "expected"), [(False, None, 0.5), (True, None, 0.05), (True, 0.25, 0.25)]
)
def test_pretrained_encoder_moves_more_slowly(
    tmp_path: Path, pretrained: bool, given: float | None, expected: float
) -> None:
    _, state = started(tiny.config(tmp_path))
    options = OptimizerConfig(learning_rate=0.5, encoder_learning_rate=given)
    optimizer = build_optimizer(options, state.model, pretrained)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in state.model.encoder.parameters()} == {expected}
    assert {rates[id(p)] for p in state.model.decoder.parameters()} == {0.5}


def test_weight_decay_is_for_matrices_only(tmp_path: Path) -> None:
    _, state = started(tiny.config(tmp_path))
    optimizer = build_optimizer(OptimizerConfig(weight_decay=0.5), state.model, False)
    decays = {(p.ndim > 1, g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert decays == {(True, 0.5), (False, 0.0)}
