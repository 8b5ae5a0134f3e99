"""The table of scores: a line in it is reported by validation, evaluation and comparison, and selectable."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from support import tiny

from captioner.config.schema import CompareConfig, EvaluateConfig
from captioner.config.search import SearchConfig
from captioner.data.records import Record
from captioner.decoding.hypotheses import Hypothesis
from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import evaluate
from captioner.evaluation.references import References
from captioner.evaluation.report import as_table, save_evaluation
from captioner.metrics import SCORES, Score, coco, selectable
from captioner.metrics.cider import CiderD
from captioner.training.comparison import measure as measuring
from captioner.training.comparison import plan as planning
from captioner.training.comparison import runs as cell_runs
from captioner.training.comparison.report import as_markdown
from captioner.training.comparison.results import as_csv
from captioner.training.loop import train
from captioner.training.progress import Progress
from captioner.training.reporting import start_line
from captioner.training.setup import check_training
from captioner.vocabulary import Vocabulary

CAPTIONS = [Hypothesis((4,), (-1.0,), True, -1.0)]
NO_COCO = coco.Scores({}, "captioner")


@pytest.fixture
def distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distinct-1 (Li et al. 2016), the share of different words among all, as a metric of the table."""

    def measure(captions):  # type: ignore[no-untyped-def]
        words = [word for caption in captions for word in caption]
        return {"Distinct-1": len(set(words)) / len(words)}

    module = ModuleType("distinct")
    module.against = lambda references: measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distinct", module)
    monkeypatch.setitem(SCORES, "Distinct-1", Score("distinct", decimals=2))
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: NO_COCO)
    monkeypatch.setattr(measuring, "coco_scores", lambda *_, **__: NO_COCO)


@pytest.mark.usefixtures("distinct")
def test_validation_computes_it(tmp_path: Path) -> None:
    train(tiny.config(tmp_path), tmp_path / "run", report=lambda _: None)
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    value = json.loads(line)["Distinct-1"]
    assert 0 < value < 1
    assert f"Distinct-1 {value:.3f}" in start_line(Progress(best=json.loads(line)))


@pytest.mark.usefixtures("distinct")
def test_evaluation_reports_it(tmp_path: Path) -> None:
    run = tiny.config(tmp_path).run
    found = evaluate(EvaluateConfig(tiny.SCENES, SearchConfig(), run, str(tiny.model_file())))
    words = [word for entry in found.captions for word in entry["caption"].split()]
    value = len(set(words)) / len(words)
    assert found.scores["Distinct-1"] == value
    assert f"Distinct-1{100 * value:>7.2f}" in as_table(found).splitlines()
    save_evaluation(found, tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["Distinct-1"] == value


@pytest.mark.usefixtures("distinct")
def test_comparison_reports_it(tmp_path: Path) -> None:
    base = vars(tiny.config(tmp_path)) | {"output": str(tmp_path / "cells")}
    config = CompareConfig(**base, cells=["lstm"], seeds=[0], equal=["width"])
    (run,) = planning.plan(config)
    row = cell_runs.carry_out(run)
    report = as_markdown({"width": [row]}, config)
    head, _, line = [text for text in report.splitlines() if text.startswith("|")][:3]
    shown = dict(zip(head.split("|"), line.split("|")))
    column = next(name for name in shown if name.strip() == "Distinct-1")
    assert shown[column].strip() == f"{100 * row.values['Distinct-1']:.2f}"
    assert "Distinct-1" in as_csv({"width": [row]}).splitlines()[0].split(",")


@pytest.mark.usefixtures("distinct")
def test_training_may_select_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.config(tmp_path)
    config = replace(config, training=replace(config.training, select="Distinct-1"))
    check_training(config)
    monkeypatch.setitem(SCORES, "Distinct-1", Score("distinct", selects=False))
    with pytest.raises(CaptionerError, match="Distinct-1"):
        check_training(config)
    earlier = Progress(1, {"Distinct-1": 0.2, "BLEU-4": 0.9})
    assert earlier.advance({"epoch": 2, "Distinct-1": 0.3, "BLEU-4": 0.1}, "Distinct-1").best["epoch"] == 2


def test_selectable_scores_are_those_of_old_configurations() -> None:
    assert selectable() == ("BLEU-4", "CIDEr-D")


def test_references_are_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []
    real = CiderD.__init__
    monkeypatch.setattr(CiderD, "__init__", lambda *args: prepared.append(1) or real(*args))  # type: ignore[func-returns-value]
    references = References([Record("1", Path("1.png"), ("a dog runs",))], Vocabulary(["dog"]))
    references.scores(CAPTIONS, ["BLEU-4"])
    assert prepared == []
    first, second = (references.scores(CAPTIONS) for _ in range(2))
    assert first == second and list(first) == [*(f"BLEU-{n}" for n in (1, 2, 3, 4)), "CIDEr-D", "dangling"]
    assert prepared == [1]


def test_names_are_read_without_what_computes_them() -> None:
    code = (
        "import sys, captioner.metrics; print(sorted({'numpy', 'nltk', 'pycocoevalcap'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
