"""captioner check: what it counts, and that it says training would stop exactly where training stops."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from support import tiny

from captioner.cli.check import EXAMPLES
from captioner.cli.main import main
from captioner.config.data import Flickr8kConfig, TableConfig, VocabularyConfig
from captioner.data.doctor import examine as doctor
from captioner.data.doctor.examine import Diagnosis, examine
from captioner.data.doctor.summary import SplitSummary
from captioner.data.formats.files import UNREADABLE
from captioner.errors import CaptionerError
from captioner.training.setup import prepare

ONE = VocabularyConfig(min_count=1)
CAPTIONS = {  # two of each image
    "train": {"a.png": ("A dog.", "The dog runs!"), "b.png": ("A cat.", "A cat sits there")},
    "val": {"c.png": ("A cat runs.", "Zebras"), "d.png": ("The dog.", "A dog")},
    "test": {"e.png": ("A bird.", "One bird sings a song")},
}


@pytest.fixture
def data(tmp_path: Path) -> TableConfig:
    """A sound dataset: a table a split, every image another."""
    for number, (split, images) in enumerate(CAPTIONS.items()):
        rows = []
        for n, (name, captions) in enumerate(images.items()):
            Image.new("RGB", (40, 40), (80 * number, 80 * n, 0)).save(tmp_path / name)
            rows += [json.dumps({"image": name, "caption": caption}) + "\n" for caption in captions]
        (tmp_path / f"{split}.jsonl").write_text("".join(rows))
    return TableConfig(root=str(tmp_path), train="train.jsonl", val="val.jsonl", test="test.jsonl")


def kinds(diagnosis: Diagnosis) -> list[str]:
    return [finding.kind for finding in diagnosis.findings]


# --- what it counts -------------------------------------------------------------------------------


def test_counts_are_those_of_a_hand_count(data: TableConfig) -> None:
    diagnosis = examine(data, ONE, max_caption_length=3)
    assert diagnosis.splits["train"] == SplitSummary(
        images=2,
        captions=4,
        per_image=(2, 2),
        lengths=(2, 2.5, 4, 4),
        cut=1,
        words=11,
        different_words=7,  # a cat dog runs sits the there
        unknown=0,
        known_different=7,
    )
    val = diagnosis.splits["val"]
    assert (val.words, val.unknown) == (8, 1)  # zebras
    assert (val.different_words, val.known_different) == (6, 5)
    test = diagnosis.splits["test"]
    assert (test.words, test.unknown) == (7, 5)  # all but "a", twice
    assert diagnosis.vocabulary == 7
    assert diagnosis.findings == [] and diagnosis.trainable


def test_vocabulary_is_counted_as_training_counts_it(data: TableConfig) -> None:
    diagnosis = examine(data, VocabularyConfig(min_count=2), 50)
    assert diagnosis.vocabulary == 3  # a, dog, cat
    assert diagnosis.splits["train"].unknown == 4  # the runs sits there


def test_lengths_follow_the_vocabularys_unit(data: TableConfig) -> None:
    lengths = examine(data, VocabularyConfig("character", 1), 50).splits["train"].lengths
    assert (lengths.min, lengths.max) == (len("Adog"), len("Acatsitsthere"))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_find_the_same(data: TableConfig, tmp_path: Path, workers: int) -> None:
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(b"broken")
    diagnosis = examine(data, ONE, 50, workers)
    assert [f.split for f in diagnosis.findings if f.kind == UNREADABLE] == ["train", "val"]


# --- what it finds, and what training does with the same data ---------------------------------------


def cut(folder: Path) -> None:
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:-30])


def empty(folder: Path) -> None:
    (folder / "c.png").write_bytes(b"")


def instead(make: Callable[[Path], object], name: str = "a.png") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def row(split: str, **entries: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / f"{split}.jsonl").open("a") as file:
            file.write(json.dumps(entries) + "\n")

    return change


def copy(source: str, name: str, split: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes((folder / source).read_bytes())
        row(split, image=name, caption="A copy.")(folder)

    return change


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content)  # type: ignore[return-value]


CASES: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    "truncated image": (cut, UNREADABLE, True),
    "zero-byte image": (empty, UNREADABLE, True),
    "folder for an image": (instead(Path.mkdir), "missing image files", True),
    "pipe for an image": (instead(os.mkfifo), "missing image files", True),
    "dangling link": (instead(lambda path: path.symlink_to("nowhere")), "missing image files", True),
    "link to itself": (instead(lambda path: path.symlink_to(path)), "missing image files", True),
    "missing image": (instead(lambda path: None, "d.png"), "missing image files", True),
    "caption without words": (row("val", image="c.png", caption=" . "), "empty captions", True),
    "no caption": (row("train", image="a.png", caption=[]), "images without caption", True),
    "wrong type": (row("train", image="a.png", caption=3), "malformed entries", True),
    "not a number": (row("train", image="a.png", caption=float("nan")), "malformed entries", True),
    "half a character": (row("train", image="a.png", caption="a \ud800"), "malformed entries", True),
    "another encoding": (write("val.jsonl", b"\xe9"), "splits that cannot be read", True),
    "empty table": (write("train.jsonl", b""), "splits that cannot be read", True),
    "missing table": (lambda folder: (folder / "val.jsonl").unlink(), "splits that cannot be read", True),
    "leak": (copy("a.png", "copy.png", "val"), doctor.LEAK, False),
    "leak under one name": (row("val", image="a.png", caption="A dog."), doctor.LEAK, False),
    "copy in the split": (copy("a.png", "copy.png", "train"), doctor.DOUBLE, False),
    "caption twice": (row("train", image="a.png", caption="A dog."), doctor.REPEATED, False),
    "broken test image": (instead(lambda path: path.touch(), "e.png"), UNREADABLE, False),
    "broken test row": (row("test", image="e.png"), "malformed entries", False),
}


def stops_training(data: TableConfig, folder: Path, min_count: int = 1) -> str | None:
    """What training says before it begins; None if it begins."""
    config = replace(tiny.config(folder), data=data, vocabulary=VocabularyConfig(min_count=min_count))
    try:
        prepare(config, torch.device("cpu"))
    except CaptionerError as error:
        return str(error)
    return None


@pytest.mark.parametrize("case", CASES)
def test_doctor_and_training_agree(data: TableConfig, tmp_path: Path, case: str) -> None:
    break_it, kind, fatal = CASES[case]
    break_it(tmp_path)
    diagnosis = examine(data, ONE, 50)
    assert kind in kinds(diagnosis)
    said = stops_training(data, tmp_path)
    assert diagnosis.trainable == (said is None) == (not fatal)
    assert said is None or said in [finding.line for finding in diagnosis.findings if finding.fatal]


def test_sound_data_is_trained_on(data: TableConfig, tmp_path: Path) -> None:
    assert stops_training(data, tmp_path) is None


def test_vocabulary_without_a_word_stops_both(data: TableConfig, tmp_path: Path) -> None:
    diagnosis = examine(data, VocabularyConfig(min_count=100), 50)
    assert kinds(diagnosis) == [doctor.NO_WORDS]
    assert diagnosis.findings[0].line.startswith(f"{stops_training(data, tmp_path, min_count=100)}; ")


def test_all_faults_are_told_and_not_only_the_first(data: TableConfig, tmp_path: Path) -> None:
    for case in ("truncated image", "caption without words", "wrong type", "missing image", "leak"):
        CASES[case][0](tmp_path)
    found = kinds(examine(data, ONE, 50))
    # the leak is a copy of the truncated file, as unreadable as that
    assert sorted(found) == sorted(
        ["malformed entries", "empty captions", "missing image files", *[UNREADABLE] * 2, doctor.LEAK]
    )


def test_caption_file_of_all_splits_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name, split in (("a.png", "train"), ("b.png", "dev")):
        Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / name)
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text(name)
    (tmp_path / "Flickr8k.token.txt").write_text("a.png#0\tA dog\nb.png#0\tA cat\nno tab\n")
    diagnosis = examine(Flickr8kConfig(root=str(tmp_path)), ONE, 50)
    assert kinds(diagnosis) == ["malformed entries", doctor.LEAK]
    assert "splits there: train, val" in diagnosis.absent["test"]


def test_missing_image_of_many_rows_is_told_once(data: TableConfig, tmp_path: Path) -> None:
    (tmp_path / "a.png").unlink()
    assert kinds(examine(data, ONE, 50)) == ["missing image files"]


# --- the command ----------------------------------------------------------------------------------


def check(data: TableConfig, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    values = [f"data.{key}={value}" for key, value in vars(data).items() if key != "name"]
    with pytest.raises(SystemExit) as caught:
        main(["check", "data=table", *values, "vocabulary.min_count=1", "run.progress=false", *more])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out + err


def test_sound_data_exits_with_0(data: TableConfig, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = check(data, capsys, "run.workers=0")
    assert status == 0 and text.endswith("training would go through; nothing is wrong\n")
    (captions,) = [line.split() for line in text.splitlines() if line.startswith("captions  ")]
    assert captions == ["captions", "4", "4", "2"]


def test_unfit_data_exits_with_1_and_few_examples(
    data: TableConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        row("train", image=f"none{number}.png", caption="A dog.")(tmp_path)
    status, text = check(data, capsys, "run.workers=0", f"output={tmp_path / 'new' / 'report.json'}")
    assert status == 1 and "missing image files: 20 (train)" in text
    assert text.count("there is no image file") == EXAMPLES
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["trainable"] is False and len(report["findings"]) == 20
    assert report["splits"]["train"]["lengths"] == {"min": 2, "median": 2.5, "p95": 4, "max": 4}


def test_leak_alone_exits_with_0_but_is_told(
    data: TableConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    CASES["leak"][0](tmp_path)
    status, text = check(data, capsys, "run.workers=0")
    assert status == 0 and "train a.png, val copy.png" in text


def test_worst_comes_first(data: TableConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for case in ("caption twice", "copy in the split", "broken test row", "wrong type"):
        CASES[case][0](tmp_path)
    row("val", image="a.png", caption="A dog.")(tmp_path)
    _, text = check(data, capsys, "run.workers=0")
    told = ["training would stop at:", "malformed entries: 1 (train)", "worth a look:", doctor.LEAK]
    places = [text.index(line) for line in [*told, doctor.REPEATED]]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("vocabulary.min_count=0", "vocabulary.min_count"),
        ("training.max_caption_length=0", "training.max_caption_length"),
        ("data.tset=x", "data.tset"),
        ("run.workers=-1", "run.workers"),
        ("output=/dev/null/x/report.json", "output"),
    ],
)
def test_wrong_usage_exits_with_2(
    data: TableConfig, capsys: pytest.CaptureFixture[str], override: str, named: str
) -> None:
    status, text = check(data, capsys, override)
    assert status == 2 and text.startswith(f"captioner: {named}") and text.count("\n") == 1
