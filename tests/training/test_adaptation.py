"""A model file as the start of a run on other captions: its words stay, new ones come, its own are kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from support import tiny

import captioner
from captioner.checkpoint.file import load_checkpoint
from captioner.cli.main import main
from captioner.config.data import VocabularyConfig
from captioner.config.schema import TrainConfig
from captioner.config.strict import from_plain
from captioner.data.records import Record
from captioner.training.adaptation import grown, start_from
from captioner.training.optimization import PER_WORD
from captioner.training.saved_config import started_config
from captioner.vocabulary import Vocabulary

NEW = ("quokka", "axolotl")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Eight photos whose captions have two words that the tiny model lacks."""
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for i, record in enumerate(tiny.records()[:8]):
            record.source().save(tmp_path / f"{i}.png")  # type: ignore[operator]
            rows.writerow([f"{i}.png", f"{record.captions[0]} {NEW[i % 3 == 0]}"])
    return tmp_path / "mine.csv"


def train(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, arguments)])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.fixture
def adapt(table: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    fixed = ["data=table", f"data.root={table.parent}", f"data.train={table}", f"init={tiny.model_file()}"]
    fixed += ["run.device=cpu", "run.compile=false", "run.progress=false", "run.workers=0"]
    fixed += [f"run.cache={table.parent / 'cache'}", f"output={table.parent / 'run'}"]
    return lambda *more: train(capsys, *fixed, *more)


def test_words_are_added_and_those_known_keep_their_vectors(
    table: Path, adapt: Callable[..., object]
) -> None:
    status, out, err = adapt("optimizer.learning_rate=1e-12", "training.epochs=1", "training.average=0")  # type: ignore[misc]
    assert (status, err) == (0, "")
    assert "2 new words (quokka, axolotl): 100.0 % of the captions' words are known" in out
    before, after = load_checkpoint(tiny.model_file()), load_checkpoint(table.parent / "run")
    known = len(before.vocabulary)
    assert after.vocabulary.words == (*before.vocabulary.words, *NEW)
    old, new = before.model.state_dict(), after.model.state_dict()
    for name, weight in old.items():
        kept = new[name][:known] if name in PER_WORD else new[name]
        torch.testing.assert_close(kept, weight, rtol=0, atol=1e-6)
    saved = (table.parent / "run" / "config.yaml").read_text()
    assert "fine_tune: false" in saved and "min_count: 2" in saved  # of experiment=own_photos


def test_new_words_are_learned(table: Path, adapt: Callable[..., object]) -> None:
    options = ["optimizer.learning_rate=0.01", "training.epochs=40", "training.patience=0", "training.crop=1"]
    options += [f"data.val={table}", "training.select=BLEU-4"]
    adapt(*options, "training.flip=0", "training.average=0", "decoder.dropout=0", "training.batch_size=4")
    metrics = (table.parent / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics[0])["epoch"] == 0  # the start counts
    assert load_checkpoint(table.parent / "run").scores["BLEU-4"] > 0.5 > json.loads(metrics[0])["BLEU-4"]
    adapted = captioner.load(table.parent / "run", "cpu")
    said = {word for i in range(8) for word in adapted.caption(table.parent / f"{i}.png").words}
    assert said & set(NEW)


def test_stopped_adaptation_resumes(
    table: Path, adapt: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, err = adapt("training.epochs=2", "encoder.resize=squash")
    assert err.startswith("captioner: init: the weights of ") and err.count("\n") == 1
    status, _, err = train(capsys, f"resume={table.parent / 'run'}", "training.epochs=3")
    assert (status, err) == (0, "")  # it was said
    epochs = (table.parent / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in epochs] == [0, 1, 2, 3]
    assert load_checkpoint(table.parent / "run").vocabulary.words[-2:] == NEW


def test_model_of_another_shape_is_refused(adapt: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = adapt("decoder.hidden_size=48")
    assert status == 2 and err.startswith("captioner: init: the model of")


@pytest.mark.parametrize(
    ("override", "change"),
    [
        ("attention.after_step=true", "attention.after_step=true (it was false)"),
        ("encoder.resize=squash", "encoder.resize=squash (it was crop)"),
        ("encoder.mean=[0.4,0.4,0.4]", "encoder.mean=[0.4, 0.4, 0.4] (it was [0.5, 0.5, 0.5])"),
        ("decoder.dropout=0.3", None),
        ("attention.penalty=0", None),
    ],
)
@pytest.mark.parametrize("run", [False, True])
def test_options_with_which_the_weights_compute_something_else_are_told(
    tmp_path: Path, override: str, change: str | None, run: bool
) -> None:
    file = tiny.model_file()
    config = tiny.config(tmp_path)
    config.init = str(file.parent if run else file)
    config = started_config(overridden(config, override), [override])
    start = start_from(config, config.init, tiny.records())
    told = f"init: the weights of {config.init} fit, but were trained otherwise; now {change}"
    assert start.changed == (told if change else "")
    mean = [0.4] * 3 if "mean" in override else [0.5] * 3
    assert start.model.encoder.mean.flatten().tolist() == pytest.approx(mean)


def overridden(config: TrainConfig, override: str) -> TrainConfig:
    given = OmegaConf.structured(config)
    OmegaConf.update(given, *override.split("=")[:1], yaml.safe_load(override.split("=")[1]))
    return from_plain(TrainConfig, OmegaConf.to_container(given))


def test_rare_words_stay_unknown() -> None:
    known = Vocabulary(["a", "dog"])
    records = [Record(0, Path("x"), ("A dog, a zebra.", "Two zebras and a zebra"))]
    vocabulary, told = grown(known, records, VocabularyConfig(min_count=2))
    assert vocabulary.words == (*known.words, "zebra")
    assert told == "1 new words (zebra): 66.7 % of the captions' words are known, 44.4 % before"
