"""Scores: by hand where that is possible, and like COCO's own evaluation code."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.java import ECHO, use_java

from captioner.errors import CaptionerError
from captioner.metrics.bleu import bleu
from captioner.metrics.coco import coco_scores


def bleu_of(*pairs: tuple[str, list[str]]) -> list[float]:
    """BLEU-1 to BLEU-4 of (hypothesis, references) pairs."""
    scores = bleu([h.split() for h, _ in pairs], [[r.split() for r in refs] for _, refs in pairs])
    assert list(scores) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    return list(scores.values())


# --- without a home ------------------------------------------------------------------------------

HOMELESS = """
import os, pwd
os.environ.pop("HOME", None)
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
import captioner.cli.train, captioner.cli.evaluate, captioner.training.loop, captioner.evaluation.evaluate
from captioner.metrics.bleu import bleu
assert bleu([["a"]], [[["a"]]])["BLEU-1"] == 1 and "HOME" not in os.environ
"""


def test_training_and_evaluation_need_no_home_folder() -> None:
    """Which NLTK's import does."""
    done = subprocess.run([sys.executable, "-c", HOMELESS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- BLEU, by hand --------------------------------------------------------------------------------


def test_perfect_captions_score_one() -> None:
    assert bleu_of(("a dog runs on grass", ["x", "a dog runs on grass"])) == [1, 1, 1, 1]


def test_matches_are_clipped_as_in_the_paper() -> None:
    references = ["the cat is on the mat", "there is a cat on the mat"]
    assert bleu_of(("the the the the the the the", references)) == pytest.approx([2 / 7, 0, 0, 0])


def test_short_captions_pay_the_brevity_penalty() -> None:
    penalty = math.exp(1 - 4 / 2)
    assert bleu_of(("a dog", ["a dog runs fast"])) == pytest.approx([penalty, penalty, 0, 0])


def test_of_two_equally_near_reference_lengths_the_shorter_counts() -> None:
    assert bleu_of(("a b c d", ["a b c", "a b c d e"])) == [1, 1, 1, 1]


def test_counts_are_summed_over_the_corpus_and_short_captions_hold_no_long_ngrams() -> None:
    # Matched of possible n-grams: 4 + 1 of 4 + 2, 3 + 0 of 3 + 1, 2 + 0 of 2 + 0, 1 + 0 of 1 + 0.
    product = 5 / 6 * 3 / 4
    expected = [5 / 6, product ** (1 / 2), product ** (1 / 3), product ** (1 / 4)]
    assert bleu_of(("a b c d", ["a b c d"]), ("x y", ["x z"])) == pytest.approx(expected)


def test_empty_hypotheses_score_zero() -> None:
    assert bleu_of(("", ["a dog"])) == [0, 0, 0, 0]


def test_bleu_equals_cocos() -> None:
    coco = pytest.importorskip("pycocoevalcap.bleu.bleu")
    random = np.random.default_rng(0)

    def sentence() -> str:
        return " ".join(random.choice(list("ab"), random.integers(1, 12)))

    hypotheses = ["", *(sentence() for _ in range(50))]
    references = [[sentence() for _ in range(random.integers(1, 6))] for _ in hypotheses]
    found = {i: [hypothesis] for i, hypothesis in enumerate(hypotheses)}
    expected, _ = coco.Bleu().compute_score(dict(enumerate(references)), found, verbose=0)
    assert expected[3] > 0.05
    assert bleu_of(*zip(hypotheses, references, strict=True)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "no caption to score"),
        ([["a"]], [[]], "image 0 .* has no reference"),
        ([["a"]], [], "1 captions but references for 0 images"),
    ],
)
def test_nothing_to_compare_is_refused(
    hypotheses: list[list[str]], references: list[list[list[str]]], message: str
) -> None:
    with pytest.raises(CaptionerError, match=message):
        bleu(hypotheses, references)


# --- the other COCO scores ------------------------------------------------------------------------

HYPOTHESES = ["A dog's bowl, red!", "two men ride bikes fast", ""]
REFERENCES = [
    ["A dog's red bowl stands there.", "a bowl (red)"],
    ["two men ride bikes fast"],
    ["nothing here"],
]


@pytest.fixture
def coco() -> None:
    pytest.importorskip("pycocoevalcap.cider.cider")


def test_without_java_our_tokenizer_serves_and_meteor_is_missing(
    coco: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    scores = coco_scores(["A dog, runs!"], [["a dog sleeps"]])
    assert scores.tokenizer == "captioner (word)"
    assert scores.missing["METEOR"] == "install Java 8 or later"
    assert scores.values["ROUGE-L"] == pytest.approx(2 / 3)  # 2 of 3 words in common, both ways


def test_java_that_only_asks_to_be_installed_counts_as_none(
    coco: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_java(monkeypatch, tmp_path, "echo No Java runtime present >&2; exit 1")
    scores = coco_scores(["a"], [["a"]])
    assert scores.tokenizer == "captioner (word)"
    assert scores.missing["METEOR"] == "java failed: No Java runtime present"


def test_perfect_captions_have_a_cider_of_ten(
    coco: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    captions = ["a dog runs on grass", "two men ride bikes fast"]
    scores = coco_scores(captions, [[caption] for caption in captions])
    assert scores.values["CIDEr"] == pytest.approx(10)


def test_a_crash_of_meteor_loses_no_other_score_and_prints_nothing(
    coco: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    use_java(monkeypatch, tmp_path, ECHO.format(meteor="echo 1.0; exit 1"))
    scores = coco_scores(HYPOTHESES, REFERENCES)
    assert scores.tokenizer == "ptb" and set(scores.values) == {"ROUGE-L", "CIDEr"}
    assert "stopped early" in scores.missing["METEOR"]
    assert capfd.readouterr() == ("", "")


def test_line_breaks_in_a_caption_shift_no_other(
    coco: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_java(monkeypatch, tmp_path, ECHO.format(meteor="exit 1"))
    captions = ["a dog\nruns", "two\u2028men", "a cat"]
    scores = coco_scores(captions, [[caption] for caption in captions])
    assert scores.values["ROUGE-L"] == 1


def test_without_pycocoevalcap_all_three_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap.meteor.meteor", None)
    scores = coco_scores(["a"], [["a"]])
    assert scores.values == {}
    assert scores.missing == dict.fromkeys(("METEOR", "ROUGE-L", "CIDEr"), "pip install 'captioner[coco]'")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_scores_equal_those_of_pycocoevalcaps_own_programs(coco: None) -> None:
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    def tokenized(captions: list[list[str]]) -> dict[int, list[str]]:
        texts = {i: [{"caption": text} for text in each] for i, each in enumerate(captions)}
        return PTBTokenizer().tokenize(texts)

    wanted = tokenized(REFERENCES)
    found = {2: [""]} | tokenized([[hypothesis] for hypothesis in HYPOTHESES])
    found = {i: found[i] for i in wanted}
    expected = {
        name: scorer.compute_score(wanted, found)[0]
        for name, scorer in {"METEOR": Meteor(), "ROUGE-L": Rouge(), "CIDEr": Cider()}.items()
    }
    assert coco_scores(HYPOTHESES, REFERENCES).values == pytest.approx(expected)
