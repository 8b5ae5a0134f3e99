"""Captions that equal their references score the maximum in every metric, in any script."""

from __future__ import annotations

import shutil

import pytest

from captioner.metrics.bleu import bleu
from captioner.metrics.coco import coco_scores
from captioner.metrics.english import is_english
from captioner.vocabulary import tokenize

SPACED = {  # scripts with spaces between words
    "English": ["A dog's ball, red, on the grass.", "Two men (old ones) ride their bikes fast!"],
    "German": ["Ein Mädchen läuft über die Straße.", "Zwei Männer fahren müde auf großen Fahrrädern."],
    "Arabic": ["كلب بني يركض على العشب الأخضر؟", "رجلان يركبان الدراجات في الشارع، بسرعة."],
    "Hindi": ["एक भूरा कुत्ता घास पर दौड़ रहा है।", "दो आदमी सड़क पर साइकिल चला रहे हैं॥"],
    "Korean": ["갈색 개가 푸른 잔디 위를 달린다.", "두 남자가 길에서 자전거를 빨리 탄다."],
}
JOINED = {
    "Chinese": ["一个女孩在公园里奔跑。", "两只狗，在海滩上玩耍！"],
    "Japanese": ["茶色の犬が芝生の上を走っている。", "二人の男性が「自転車」に乗っています。"],
    "Thai": ["สุนัขสีน้ำตาลวิ่งบนสนามหญ้า", "ผู้ชายสองคนขี่จักรยานบนถนน"],
}
CASES = [(name, "word") for name in SPACED] + [(name, "character") for name in (*SPACED, *JOINED)]


@pytest.mark.parametrize("java", ["without", pytest.param("with", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("language", "unit"), CASES)
def test_identical_captions_score_the_maximum(
    language: str, unit: str, java: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocoevalcap.cider.cider")
    if java == "without":
        monkeypatch.setenv("PATH", "")
    elif shutil.which("java") is None:
        pytest.skip("needs Java")
    captions = (SPACED | JOINED)[language]
    references = [[caption] for caption in captions]
    scores = coco_scores(captions, references, unit)
    names = {"ROUGE-L": 1, "CIDEr": 10} | ({"METEOR": 1} if java == "with" else {})
    assert scores.values == pytest.approx(names)
    assert scores.missing.keys() == {"METEOR", "ROUGE-L", "CIDEr"} - names.keys()
    english = (language, unit) == ("English", "word") and java == "with"
    assert scores.tokenizer == ("ptb" if english else f"captioner ({unit})")
    assert scores.meteor == (("english" if english else "exact") if java == "with" else None)

    words = [tokenize(caption, unit) for caption in captions]
    assert set(bleu(words, [[each] for each in words]).values()) == {1.0}


def test_units_are_scored_not_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocoevalcap.cider.cider")
    monkeypatch.setenv("PATH", "")
    scores = coco_scores(["一个女孩"], [["一个男孩"]], "character")
    assert scores.values["ROUGE-L"] == pytest.approx(3 / 4)


@pytest.mark.parametrize("language", [*SPACED, *JOINED])
def test_english_only_is_english(language: str) -> None:
    references = [[caption] for caption in (SPACED | JOINED)[language]]
    assert is_english(references, "word") == (language == "English")
    assert not is_english(references, "character")


DUTCH = ["Een hond rent door het gras.", "Twee mannen zitten op een bank.", "Een vrouw met een rode jas."]
INDONESIAN = [
    "Seekor anjing berlari di rumput.",
    "Dua pria duduk di bangku taman.",
    "Seorang wanita berjalan kaki.",
]
SWAHILI = [
    "Mbwa anakimbia kwenye nyasi.",
    "Wanaume wawili wamekaa kwenye benchi.",
    "Mtoto anacheza na mpira.",
]


@pytest.mark.parametrize("captions", [DUTCH, INDONESIAN, SWAHILI])
def test_letters_alone_do_not_make_captions_english(captions: list[str]) -> None:
    assert not is_english([captions] * 3, "word")


NAMES, SENTENCES = ["Dog", "Red ball"], ["A dog runs through the grass.", "Two men sit on a bench."]


@pytest.mark.parametrize("captions", [NAMES, SENTENCES])
def test_names_and_sentences_are_english(captions: list[str]) -> None:
    assert is_english([captions] * 30, "word")


def test_a_foreign_word_among_many_captions_leaves_them_english() -> None:
    assert is_english([SPACED["English"] * 5, ["A dog in front of a café"]], "word")
