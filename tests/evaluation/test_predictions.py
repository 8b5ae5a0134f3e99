"""Captions of any program scored, and two systems compared on the same images."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu
from support import tiny

from captioner.config.schema import EvaluateConfig, RunConfig
from captioner.config.search import SearchConfig
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import Evaluation, evaluate
from captioner.evaluation.predictions import captions_by_record
from captioner.evaluation.report import as_table, save_evaluation
from captioner.metrics import coco
from captioner.metrics.bleu import bleu, statistics
from captioner.metrics.bootstrap import differences, intervals

RECORDS = tiny.records()
CAPTIONS = [record.captions[1] for record in RECORDS]  # as good as people are
COCO = [{"image_id": r.image_id, "caption": c} for r, c in zip(RECORDS, CAPTIONS)]
FILES = ["a.json", "b.json", "a.jsonl", "a.csv", "b.csv", "c.csv", "a.txt", "folder"]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluateConfig:
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: coco.Scores({}, "captioner"))
    run = RunConfig("cpu", workers=0, cache=str(tmp_path / "cache"), progress=False, compile=False)
    return EvaluateConfig(tiny.SCENES, SearchConfig(), run)


def written(path: Path, rows: object) -> str:
    path.write_text(json.dumps(rows))
    return str(path)


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_scores(config: EvaluateConfig, tmp_path: Path, name: str) -> None:
    pairs = [(str(r.image_id), c) for r, c in zip(RECORDS, CAPTIONS)][::-1]
    path = tmp_path / name
    if name == "a.json":
        path.write_text(json.dumps(COCO))
    elif name == "b.json":  # captioner caption --format json
        path.write_text(json.dumps([{"SourceFile": i, "Description": c} for i, c in pairs]))
    elif name == "a.jsonl":
        path.write_text("".join(json.dumps({"path": i, "caption": c, "words": []}) + "\n" for i, c in pairs))
    elif name.endswith(".csv"):
        keys = ("image", "caption") if name != "b.csv" else ("SourceFile", "Description")
        mark = ";" if name == "c.csv" else ","
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter=mark).writerows([keys, *pairs])
    elif name == "a.txt":
        path.write_text("".join(f"{i}\t{c}\n" for i, c in pairs))
    else:
        path.mkdir()
        written(path / "captions.json", COCO)
    found = evaluate(replace(config, predictions=str(path)))
    references = [[c.lower().rstrip(".").split() for c in r.captions] for r in RECORDS]
    expected = corpus_bleu(references, [c.lower().rstrip(".").split() for c in CAPTIONS])
    assert found.scores["BLEU-4"] == pytest.approx(expected)
    assert [entry["image_id"] for entry in found.captions] == [r.image_id for r in RECORDS]
    file = "captions.json" if name == "folder" else name
    assert as_table(found).splitlines()[4] == f"scenes test: 8 images, 40 references, captions of {file}"


def test_images_are_found_by_id_path_name_or_stem_but_not_by_a_name_of_two(tmp_path: Path) -> None:
    records = [
        Record(i, Path(p), ("a",)) for i, p in ((391895, "a/one.jpg"), (2, "a/two.jpg"), (3, "b/two.jpg"))
    ]
    file = tmp_path / "a.json"
    for name in ("391895", "a/one.jpg", str(Path("a/one.jpg").absolute()), "elsewhere/one.jpg", "one"):
        written(file, [{"image": name, "caption": "x"}, {"path": "b/two.jpg", "caption": "y"}])
        assert captions_by_record(records, file, "predictions") == ["x", None, "y"]
    written(file, [{"image": "two", "caption": "x"}])
    with pytest.raises(CaptionerError, match="image 'two' is not in this split"):
        captions_by_record(records, file, "predictions")


def test_no_model_is_loaded(config: EvaluateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "captioner.evaluation.captioned.load_members", lambda *_: pytest.fail("a model is loaded")
    )
    found = evaluate(replace(config, predictions=written(tmp_path / "a.json", COCO)))
    assert found.protocol["predictions"] == "a.json" and "search" not in found.protocol


# --- images that do not match ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            COCO[1:],
            "predictions: .*a.json has no caption of image .*; in all, 1 of 8 images lack one: missing=skip",
        ),
        ([*COCO, COCO[0]], "a.json: entry 9: image .* has a second caption .*entry 1"),
        (
            [*COCO, {"image_id": 7, "caption": "x"}],
            "a.json: entry 9: image '7' is not in this split; unknown=skip",
        ),
        ([{"caption": "x"}], "entry 1: has none of image_id, path, SourceFile, image, only caption"),
        ([{"image_id": 1, "caption": None}], "entry 1: the caption None is not text"),
        ([1], "entry 1: 1 is not an image with a caption"),
        ({}, "is not a list"),
        ([], "holds no caption"),
    ],
)
def test_what_does_not_match_is_one_line(
    config: EvaluateConfig, tmp_path: Path, rows: object, said: str
) -> None:
    with pytest.raises(CaptionerError, match=said):
        evaluate(replace(config, predictions=written(tmp_path / "a.json", rows)))


def test_missing_and_unknown_images_are_treated_as_told(config: EvaluateConfig, tmp_path: Path) -> None:
    rows = [*COCO[1:], {"image_id": "zz", "caption": "x"}]
    config = replace(config, predictions=written(tmp_path / "a.json", rows), unknown="skip")
    words = [c.lower().rstrip(".").split() for c in CAPTIONS]
    references = [[c.lower().rstrip(".").split() for c in r.captions] for r in RECORDS]
    skipped = evaluate(replace(config, missing="skip"))
    assert skipped.scores == pytest.approx(bleu(words[1:], references[1:])) and len(skipped.captions) == 7
    empty = evaluate(replace(config, missing="empty"))
    assert empty.scores == pytest.approx(bleu([[], *words[1:]], references))
    assert empty.protocol["images_without_caption"] == 1 and empty.captions[0]["caption"] == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "checkpoint: a value is needed, as in checkpoint=VALUE; predictions=FILE"),
        ({"predictions": "a.json", "checkpoint": "x"}, "predictions: a.json .*give one of them"),
        ({"predictions": "a.json", "grounding": True}, "grounding: it needs a model"),
        ({"predictions": "a.json", "inference": "argmax"}, "inference: it needs a model"),
        ({"checkpoint": "x", "page": True}, "page: .*output=DIR"),
        (
            {"predictions": "a.json", "against": "tests"},
            "against: tests holds neither captions.json nor model",
        ),
        ({"predictions": "a.md"}, "predictions: a.md: '.md' is not one of .json"),
        ({"predictions": "none.json"}, "predictions: there is no file none.json"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    config: EvaluateConfig, change: dict[str, object], said: str
) -> None:
    with pytest.raises(CaptionerError, match=said):
        evaluate(replace(config, **change))


# --- against other captions ------------------------------------------------------------------------


def test_intervals_and_differences_are_those_of_a_bootstrap_by_hand() -> None:
    """BLEU of captions that are drawn again, one draw after another."""
    random = np.random.default_rng(3)
    images = 30
    references = [[random.choice(list("abcd"), 8).tolist() for _ in range(2)] for _ in range(images)]
    good = [[w if random.random() < 0.9 else "x" for w in refs[0]] for refs in references]
    bad = [[w if random.random() < 0.6 else "x" for w in refs[0]] for refs in references]
    draws = [random.integers(images, size=images) for _ in range(200)]

    def scores(captions: list[list[str]]) -> np.ndarray:
        return np.array([bleu([captions[i] for i in d], [references[i] for i in d])["BLEU-4"] for d in draws])

    ours, theirs = statistics(good, references), statistics(bad, references)
    expected = np.quantile(scores(good), [0.025, 0.975])
    assert intervals([ours])["BLEU-4"] == pytest.approx(expected, abs=0.05)
    found = differences([ours], [theirs])["BLEU-4"]
    apart = np.quantile(scores(good) - scores(bad), [0.025, 0.975])
    assert found.interval == pytest.approx(apart, abs=0.05) and found.shown
    assert found.delta == bleu(good, references)["BLEU-4"] - bleu(bad, references)["BLEU-4"]
    assert not differences([ours], [ours])["BLEU-4"].shown


def test_a_single_image_has_no_interval() -> None:
    one = statistics([["a"]], [[["a"]]])
    assert intervals([one]) == {} and differences([one], [one])["BLEU-1"].interval is None


def test_table_and_files_hold_the_comparison(config: EvaluateConfig, tmp_path: Path) -> None:
    others = [{**entry, "caption": CAPTIONS[0]} for entry in COCO]
    config = replace(
        config,
        predictions=written(tmp_path / "a.json", COCO),
        against=written(tmp_path / "b.json", others),
    )
    found = evaluate(config)
    assert found.against is not None
    alone = evaluate(replace(config, predictions=config.against, against=None))
    assert found.against.scores == alone.scores
    assert found.against.differences["BLEU-1"].delta == found.scores["BLEU-1"] - alone.scores["BLEU-1"]
    table = as_table(found)
    assert "ours minus theirs" in table and "BLEU-1 (higher)" in table and "Other training seeds" in table
    save_evaluation(found, tmp_path)
    summary = json.loads((tmp_path / "scores.json").read_text())
    assert summary["intervals"]["BLEU-1"] == list(found.intervals["BLEU-1"])
    assert summary["against"]["differences"]["BLEU-1"]["interval"] == list(
        found.against.differences["BLEU-1"].interval or ()
    )
    rows = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert [row["caption"] for row in rows] == CAPTIONS
    first = bleu(
        [CAPTIONS[0].lower().rstrip(".").split()],
        [[c.lower().rstrip(".").split() for c in RECORDS[0].captions]],
    )
    assert {name: rows[0]["scores"][name] for name in first} == pytest.approx(first)


def test_a_model_is_compared_with_a_file(config: EvaluateConfig, tmp_path: Path) -> None:
    """And with itself it does not differ."""
    ours = evaluate(replace(config, checkpoint=str(tiny.model_file())))
    file = written(tmp_path / "a.json", ours.captions)
    found: Evaluation = evaluate(replace(config, predictions=file, against=str(tiny.model_file())))
    assert found.against is not None and found.against.protocol["search"]["beam_size"] == 3
    assert {d.delta for d in found.against.differences.values()} == {0.0}


METEOR = """
import numpy as np
from captioner.metrics.coco import coco_scores
words = "a the dog cat runs on grass man rides bike red big".split()
random = np.random.default_rng(0)
captions = [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(80)]
captions[0] = captions[20]  # which the program does not sum as the others
found = coco_scores(captions[:20], [captions[i : i + 3] for i in range(20, 80, 3)])
print(found.missing, [sorted(part.corpus()) for part in found.statistics])
for part in found.statistics:
    (name,) = part.corpus()
    assert abs(part.corpus()[name] - found.values[name]) < 1e-9
"""


@pytest.mark.slow
def test_meteor_rouge_and_cider_are_what_their_statistics_say() -> None:
    pytest.importorskip("pycocoevalcap.meteor.meteor")
    done = subprocess.run([sys.executable, "-c", METEOR], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{} [['METEOR'], ['ROUGE-L'], ['CIDEr']]" or "java" in done.stdout.lower()
