"""Evaluation: the scores are those of the captions that it writes, measured by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from nltk.translate.bleu_score import corpus_bleu
from support import tiny

from captioner.checkpoint.file import load_checkpoint, save_checkpoint
from captioner.config.model import HardAttentionConfig
from captioner.config.schema import EvaluateConfig, RunConfig
from captioner.config.search import SearchConfig
from captioner.data.records import Record
from captioner.decoding.hypotheses import Hypothesis
from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import Evaluation, evaluate
from captioner.evaluation.references import References
from captioner.evaluation.report import as_table
from captioner.metrics import coco, evaluated
from captioner.vocabulary import UNKNOWN, Vocabulary


@pytest.fixture
def config(tmp_path: Path) -> EvaluateConfig:
    run = RunConfig("cpu", workers=0, cache=str(tmp_path / "cache"), progress=False, compile=False)
    return EvaluateConfig(tiny.SCENES, SearchConfig(), run, str(tiny.model_file()))


@pytest.fixture
def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: coco.Scores({}, "captioner"))


def by_hand(captions: list[str], records: list[Record], order: int) -> float:
    """BLEU by NLTK; the scenes' captions end in a full stop at most."""
    references = [[c.lower().rstrip(".").split() for c in record.captions] for record in records]
    weights = [1 / order] * order
    return corpus_bleu(references, [caption.split() for caption in captions], weights)


@pytest.mark.usefixtures("without_java")
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_is_that_of_the_captions(config: EvaluateConfig, order: int) -> None:
    found = evaluate(config)
    captions = [str(entry["caption"]) for entry in found.captions]
    expected = by_hand(captions, tiny.records(), order)
    assert found.scores[f"BLEU-{order}"] == pytest.approx(expected)
    assert 0 < expected < 1


@pytest.mark.usefixtures("without_java")
def test_captions_are_those_of_the_public_api(config: EvaluateConfig) -> None:
    import captioner

    predictor = captioner.load(tiny.model_file(), "cpu")
    expected = [predictor.caption(record.source()).text for record in tiny.records()]  # type: ignore[operator]
    assert [entry["caption"] for entry in evaluate(config).captions] == expected


@pytest.mark.usefixtures("without_java")
def test_split_is_the_one_that_was_asked_for(config: EvaluateConfig) -> None:
    ids = {split: evaluate(replace(config, split=split)).captions[0]["image_id"] for split in ("val", "dev")}
    assert ids["val"] == ids["dev"] == tiny.records("val")[0].image_id


@pytest.mark.usefixtures("without_java")
def test_unfinished_captions_are_counted(config: EvaluateConfig) -> None:
    cut = replace(config, search=SearchConfig(max_length=2))
    assert evaluate(cut).protocol["unfinished_captions"] == 8


@pytest.fixture
def hard(config: EvaluateConfig, tmp_path: Path) -> EvaluateConfig:
    """The soft model's weights as those of one with hard attention."""
    checkpoint = load_checkpoint(tiny.model_file())
    attention = HardAttentionConfig(size=checkpoint.config.attention.size)
    checkpoint.config = replace(checkpoint.config, attention=attention)
    save_checkpoint(checkpoint, tmp_path / "hard.safetensors")
    return replace(config, checkpoint=str(tmp_path / "hard.safetensors"))


@pytest.mark.usefixtures("without_java")
def test_expectation_of_hard_attention_is_soft_attention(
    config: EvaluateConfig, hard: EvaluateConfig
) -> None:
    assert evaluate(replace(hard, inference="expectation")).captions == evaluate(config).captions


@pytest.mark.usefixtures("without_java")
def test_hard_attention_looks_as_it_is_told(hard: EvaluateConfig) -> None:
    def captions(**options: object) -> list[str]:
        return [str(entry["caption"]) for entry in evaluate(replace(hard, **options)).captions]

    assert captions() == captions(inference="argmax") != captions(inference="sample")
    drawn = [captions(inference="sample", search=SearchConfig(seed=seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert "hard attention by sample" in as_table(evaluate(replace(hard, inference="sample")))


@pytest.mark.usefixtures("without_java")
@pytest.mark.parametrize(
    ("checkpoint", "inference", "said"),
    [
        ("soft", "sample", "inference: sample is for hard attention, and this model's is soft"),
        ("hard", "best", "inference: 'best' is not one of argmax, expectation, sample"),
    ],
)
def test_inference_that_cannot_be_is_refused(
    config: EvaluateConfig, hard: EvaluateConfig, checkpoint: str, inference: str, said: str
) -> None:
    with pytest.raises(CaptionerError, match=said):
        evaluate(replace(config if checkpoint == "soft" else hard, inference=inference))


@pytest.mark.parametrize("reference", ["zebra zebra zebra zebra", "<unk> <unk> <unk> <unk>"])
def test_unknown_words_never_match(reference: str) -> None:
    unknown = Hypothesis((UNKNOWN,) * 4, (-1.0,) * 4, True, -4.0)
    record = Record("1", Path("1.png"), (reference,))
    scores = References([record], Vocabulary(["dog"])).scores([unknown], evaluated())
    assert set(scores.values()) == {0.0}


def test_known_words_match() -> None:
    vocabulary = Vocabulary(["dog"])
    hypothesis = Hypothesis((vocabulary.index["dog"],) * 4, (-1.0,) * 4, True, -4.0)
    record = Record("1", Path("1.png"), ("Dog, dog, dog, dog!",))
    scores = References([record], vocabulary).scores([hypothesis], evaluated())
    assert set(scores.values()) == {1.0}


def test_missing_metrics_are_named_with_the_way_to_get_them(
    config: EvaluateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)  # importing it fails
    found = evaluate(config)
    assert found.missing.keys() == {"METEOR", "ROUGE-L", "CIDEr"}
    assert found.scores.keys() == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}
    for name in found.missing:
        (line,) = [line for line in as_table(found).splitlines() if line.startswith(name)]
        assert "pip install 'captioner[coco]'" in line


def test_table_is_in_percent() -> None:
    search = {"strategy": "beam", "beam_size": 5, "length_normalization": 0.7}
    protocol = {"data": "flickr8k", "split": "test", "images": 1000, "references": 5000, "search": search}
    table = as_table(Evaluation({"BLEU-4": 0.2134, "CIDEr": 1.5}, {}, protocol, []))
    assert table.splitlines() == [
        "BLEU-4       21.3",
        "CIDEr       150.0",
        "flickr8k test: 1000 images, 5000 references, beam 5, length normalization 0.7",
    ]


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        ("aab", ["2 of 3 captions are the same sentence: 'a'"]),
        ("aabb", []),
        ("a", []),
        ("", []),
    ],
)
def test_captions_that_are_mostly_one_sentence_are_named(captions: str, said: list[str]) -> None:
    search = {"strategy": "greedy"}
    protocol = {"data": "scenes", "split": "test", "images": 3, "references": 3, "search": search}
    entries = [{"image_id": str(i), "caption": caption} for i, caption in enumerate(captions)]
    assert as_table(Evaluation({}, {}, protocol, entries)).splitlines()[1:] == said


@pytest.mark.slow
def test_every_metric_is_computed_where_java_is(config: EvaluateConfig) -> None:
    found = evaluate(config)
    names = {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"}
    assert found.scores.keys() | found.missing.keys() == names
    assert all(value > 0 for value in found.scores.values())
