"""captioner check: what training goes through with and makes a useless model of, with what mends it."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from captioner.cli.main import main
from captioner.config.data import TableConfig, VocabularyConfig
from captioner.data.doctor import usefulness
from captioner.data.doctor.examine import NO_WORDS, Diagnosis, Finding, examine

CHINESE = [
    "一只棕色的狗在草地上奔跑",
    "一只黑色的猫坐在椅子上面",
    "两个小孩在海滩上玩沙子",
    "一个男人骑着自行车过马路",
]
THAI = ["สุนัขวิ่งเล่นบนสนามหญ้า", "แมวนั่งอยู่บนเก้าอี้ไม้", "เด็กสองคนเล่นทรายที่ชายหาด"]
JAPANESE = ["茶色の犬が草の上を走っている", "黒い猫が椅子に座っている", "子供が砂浜で遊んでいる"]
ENGLISH = ["a brown dog runs over the grass", "a black cat sits on a chair", "two children play in the sand"]


def data(folder: Path, texts: list[str], val: list[str] | None = None, one_file: bool = False) -> TableConfig:
    for split, of_split in (("train", texts), ("val", val or texts[:4])):
        rows = []
        for i, text in enumerate(of_split):
            name = f"{split}{i}.png"
            colour = (0, 0, 0) if one_file else (i, 10 * (split == "val"), 9)
            Image.new("RGB", (8, 8), colour).save(folder / name)
            rows.append(json.dumps({"image": name, "caption": text}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(rows))
    return TableConfig(root=str(folder), train="train.jsonl", val="val.jsonl")


def mixed(texts: list[str], separator: str = "") -> list[str]:
    """Twenty-four captions, all different, of the same few characters."""
    draw = random.Random(0)
    return [
        separator.join(draw.sample(texts, 2)) + texts[i % len(texts)][: 2 + i // len(texts)]
        for i in range(24)
    ]


def useless(diagnosis: Diagnosis) -> list[Finding]:
    assert diagnosis.trainable
    return [finding for finding in diagnosis.findings if finding.useless]


def shares(texts: list[str], least: int) -> float:
    counts = Counter(word for text in texts for word in text.split())
    return sum(n for n in counts.values() if n < least) / sum(counts.values())


@pytest.mark.parametrize("texts", [CHINESE, THAI, JAPANESE], ids=["Chinese", "Thai", "Japanese"])
def test_script_without_spaces_needs_characters(tmp_path: Path, texts: list[str]) -> None:
    captions = mixed(texts) + [texts[0]] * 2
    diagnosis = examine(data(tmp_path, captions), VocabularyConfig("word", 2), 100)
    (finding,) = useless(diagnosis)
    assert finding.kind == usefulness.UNKNOWN_WORDS and "vocabulary.unit=character" in finding.line
    assert useless(examine(data(tmp_path, captions), VocabularyConfig("character", 2), 100)) == []


TIBETAN = ["ཁྱི་ཞིག་རྩྭ་ཐང་ལ་རྒྱུག", "མི་གཉིས་རྐུབ་ཀྱག་ལ་བསྡད", "ཕྲུ་གུ་སྤོ་ལོ་རྩེད"]
LAO = ["ໝາແລ່ນຢູ່ເທິງຫຍ້າ", "ຜູ້ຊາຍສອງຄົນນັ່ງ", "ເດັກນ້ອຍຫຼິ້ນບານ"]


@pytest.mark.parametrize("texts", [THAI, TIBETAN, LAO], ids=["Thai", "Tibetan", "Lao"])
def test_option_is_told_where_no_word_is_left(tmp_path: Path, texts: list[str]) -> None:
    captions = mixed(texts)
    diagnosis = examine(data(tmp_path, captions), VocabularyConfig("word", 5), 100)
    (line,) = [finding.line for finding in diagnosis.findings if finding.kind == NO_WORDS]
    assert line.endswith("vocabulary.unit=character is for scripts without spaces")


def test_threshold_that_few_words_pass_is_lowered(tmp_path: Path) -> None:
    captions = mixed(ENGLISH, " ")
    known = Counter(word for text in captions for word in text.split())
    least = sorted(known.values())[-2] + 1  # one word is left
    (finding,) = useless(examine(data(tmp_path, captions), VocabularyConfig("word", least), 100))
    suggested = re.search(r"vocabulary\.min_count=(\d+) leaves ([\d.]+) % unknown", finding.line)
    assert suggested and float(suggested[2]) == pytest.approx(
        100 * shares(captions, int(suggested[1])), abs=0.06
    )
    assert useless(examine(data(tmp_path, captions), VocabularyConfig("word", int(suggested[1])), 100)) == []


def test_vocabulary_that_was_made_too_small_is_opened(tmp_path: Path) -> None:
    config = VocabularyConfig("word", 1, max_size=1)
    (finding,) = useless(examine(data(tmp_path, mixed(ENGLISH, " ")), config, 100))
    assert "vocabulary.max_size=null" in finding.line


@pytest.mark.parametrize(
    ("texts", "unit", "longest", "mend"),
    [
        (mixed(ENGLISH, " "), "word", 3, r"training\.max_caption_length=(\d+)"),
        (mixed(CHINESE), "character", 10, r"training\.max_caption_length=(\d+)"),
        (mixed(ENGLISH, " "), "character", 20, r"vocabulary\.unit=word"),
    ],
)
def test_captions_that_are_all_cut(
    tmp_path: Path, texts: list[str], unit: str, longest: int, mend: str
) -> None:
    config = data(tmp_path, texts)
    (finding,) = useless(examine(config, VocabularyConfig(unit, 1), longest))
    suggested = re.search(mend, finding.line)
    assert finding.kind == usefulness.CUT and suggested
    if suggested.groups():
        assert useless(examine(config, VocabularyConfig(unit, 1), int(suggested[1]))) == []
    else:
        assert useless(examine(config, VocabularyConfig("word", 1), longest)) == []


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["A photo of a thing!", *["a photo of a THING"] * 3, "a dog"], usefulness.SAME),
        ([f"IMG_{i}.jpg" for i in range(5)], usefulness.NO_TEXT),
        ([str(i) for i in range(5)], usefulness.NO_TEXT),
        ([f"{i}.5" for i in range(3)] + ["a dog"], usefulness.NO_TEXT),
    ],
)
def test_column_that_is_not_the_captions(tmp_path: Path, texts: list[str], kind: str) -> None:
    found = useless(examine(data(tmp_path, texts), VocabularyConfig("word", 1), 50))
    assert [finding.kind for finding in found] == [kind]
    assert f" of {len(texts)} " in found[0].line and "data.caption_column" in found[0].line


def test_validation_in_another_language_and_placeholders_for_photos(tmp_path: Path) -> None:
    german = ["ein hund rennt", "die katze sitzt"]
    (finding,) = useless(examine(data(tmp_path, ENGLISH, german), VocabularyConfig("word", 1), 50))
    assert (finding.split, finding.kind) == ("val", usefulness.UNKNOWN_WORDS)
    (finding,) = useless(examine(data(tmp_path, ENGLISH, one_file=True), VocabularyConfig("word", 1), 50))
    assert finding.kind == usefulness.SAME_FILE and "3 of 3" in finding.line


def test_useless_data_has_its_own_section_and_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data(tmp_path, ["the same"] * 6)
    given = ["data=table", f"data.root={tmp_path}", "data.train=train.jsonl", "data.val=val.jsonl"]
    given += ["vocabulary.min_count=1", "run.progress=false", f"output={tmp_path / 'report.json'}"]
    with pytest.raises(SystemExit) as caught:
        main(["check", *given])
    out = capsys.readouterr().out
    assert caught.value.code == 3 and "a model would be useless for:\n  captions that are the same" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["trainable"], report["useless"]) == (True, True)
    (tmp_path / "train0.png").unlink()
    with pytest.raises(SystemExit) as caught:
        main(["check", *given[:-1], "data.skip_incomplete=true"])
    out = capsys.readouterr().out
    assert caught.value.code == 3 and "worth a look:\n  missing image files: 1 (train)" in out
