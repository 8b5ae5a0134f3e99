"""An index is the list that it was made of, and is of what the files hold now."""

from __future__ import annotations

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny

from captioner.config.data import CocoConfig, DataConfig, Flickr8kConfig, TableConfig, VocabularyConfig
from captioner.data.index import open as opening
from captioner.data.index import records as indexed_records
from captioner.data.index.open import FILE, open_split
from captioner.data.index.reader import read_and_write
from captioner.data.index.records import IndexedRecords
from captioner.data.load import load_split
from captioner.data.records import mirror_of
from captioner.data.words import count_vocabulary, encode_captions
from captioner.errors import CaptionerError
from captioner.features import captions as encoded
from captioner.features import identity
from captioner.features.captions import encoded_captions
from captioner.training.loop import train
from captioner.training.run_folder import RESUME_FILE, load_resume_state
from captioner.training.trained_on import check_same, splits_of

pytest.importorskip("pyarrow", reason="pyarrow is missing: pip install 'captioner[large]'")

CAPTIONS = [
    "a dog on the left",
    "the right dog, then",
    "ein Hündchen läuft",
    "a dog",
    "犬 on a beach at night",
]
IMAGES = [f"{n}é.jpg" for n in range(7)]


def texts(n: int) -> list[str]:
    return CAPTIONS[: 1 + n % len(CAPTIONS)]


def table(folder: Path) -> DataConfig:
    rows = [json.dumps({"image": image, "caption": texts(n)}) for n, image in enumerate(IMAGES)]
    (folder / "all.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return TableConfig(root=str(folder), train="all.jsonl", val_share=0.3)


def flickr8k(folder: Path) -> DataConfig:
    rows = [f"{image}#{k}\t{text}\n" for n, image in enumerate(IMAGES) for k, text in enumerate(texts(n))]
    (folder / "Flickr8k.token.txt").write_text("".join(rows), encoding="utf-8")
    (folder / "Flickr_8k.trainImages.txt").write_text("\n".join(IMAGES[:5]), encoding="utf-8")
    (folder / "Flickr_8k.devImages.txt").write_text("\n".join(IMAGES[5:]), encoding="utf-8")
    return Flickr8kConfig(root=str(folder))


def coco(folder: Path) -> DataConfig:
    """Of numbers and of words as image ids, with captions that reviewers rejected."""
    content = {
        "images": [{"id": n if n % 2 else f"n{n}", "file_name": image} for n, image in enumerate(IMAGES)],
        "annotations": [
            {"image_id": n if n % 2 else f"n{n}", "caption": text, "is_rejected": k == 3}
            for n in range(len(IMAGES))
            for k, text in enumerate(texts(n))
        ],
    }
    (folder / "all.json").write_text(json.dumps(content))
    places = {"train": "all.json", "val": "all.json", "train_images": "images", "val_images": "images"}
    return CocoConfig(root=str(folder), **places)


@pytest.fixture(params=[table, flickr8k, coco], ids=lambda make: make.__name__)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> DataConfig:
    (tmp_path / "images").mkdir()
    for n, image in enumerate(IMAGES):
        for folder in (tmp_path, tmp_path / "images"):
            (folder / image).write_bytes(b"%d" % n)
    return request.param(tmp_path)


@pytest.fixture
def rows(tmp_path: Path) -> DataConfig:
    for image in IMAGES:
        (tmp_path / image).touch()
    return table(tmp_path)


def opened(config: DataConfig, split: str = "train", choice: str = "always", **options: Any) -> Any:
    return open_split(config, split, choice, Path(config.root) / "cache", **options)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths of indexes that are built, here rather than in a process of their own."""
    paths: list[Path] = []

    def build(path: Path, *rest: Any) -> None:
        paths.append(path)
        read_and_write(path, *rest)

    monkeypatch.setattr(opening, "build", build)
    return paths


def test_index_is_the_list(data: DataConfig, built: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, notes, vocabulary, encoded captions with mirror images, and what a state keeps of the data."""
    for user in (indexed_records, encoded):  # so that the few rows are several batches
        monkeypatch.setattr(user, "ROWS", 2)
    notes: list[list[str]] = [[], []]
    listed, indexed = load_split(data, "train", notes=notes[0]), opened(data, notes=notes[1])
    assert isinstance(indexed, IndexedRecords)
    assert (list(indexed), [indexed[i] for i in range(len(indexed))]) == (listed, listed)
    assert (indexed[-1], list(indexed[1:4]), list(indexed[::-2])) == (listed[-1], listed[1:4], listed[::-2])
    assert {type(r.image_id) for r in indexed} == {type(r.image_id) for r in listed}
    assert notes[0] == notes[1]

    config = VocabularyConfig(min_count=1)
    vocabulary = count_vocabulary(listed, config)
    assert count_vocabulary(indexed, config).words == vocabulary.words
    mirrored = list(map(mirror_of, listed))
    assert list(indexed.mirror_images()) == mirrored
    captions = encoded_captions(indexed, indexed.mirror_images(), vocabulary, 3)
    expected = encode_captions([*listed, *mirrored], vocabulary, 3)
    assert list(captions) == expected == [captions[i] for i in range(len(expected))]
    assert captions[2:5] == expected[2:5] and isinstance(captions, encoded.IndexedCaptions)
    assert expected[: len(listed)] != expected[len(listed) :]  # "left" and "right" are among the words

    val = opened(data, "val")
    check_same({"words": [], "splits": splits_of(listed, val)}, splits_of(indexed, val), indexed, config)
    assert list(val) == load_split(data, "val")
    assert len(built) == 2
    assert list(opened(data)) == listed and len(built) == 2  # it is kept


def test_digest_names_the_cache_of_the_list(rows: DataConfig, built: list[Path]) -> None:
    """So that annotations are those of a run without an index, and of another command."""
    records, listed = opened(rows), load_split(rows, "train")
    for of_index, of_list in ((records, listed), (records.mirror_images(), list(map(mirror_of, listed)))):
        assert of_index.digest == identity._digest(of_list)
    assert records[:2].digest is None
    assert records.mirror_images().mirror_images().digest == records.digest


@pytest.mark.parametrize("change", ["captions", "photo", "split"])
def test_change_makes_a_new_index(rows: TableConfig, built: list[Path], change: str) -> None:
    """Of a caption file, of what the image folder holds, and of the configuration."""
    first, root = opened(rows), Path(rows.root)
    content = first.content
    if change == "captions":
        (root / "all.jsonl").write_text((root / "all.jsonl").read_text().replace("dog", "cat"))
    elif change == "photo":
        (root / "new.jpg").touch()
    else:
        rows.split_seed = 1
    present = load_split(rows, "train")
    assert (list(first) == present) == (change == "photo") and list(opened(rows)) == present
    assert first.content == content and len(built) == 2  # who has the old one still reads it


def test_missing_photo_is_noticed(rows: TableConfig, built: list[Path]) -> None:
    (Path(rows.root) / opened(rows)[0].image_id).unlink()
    with pytest.raises(CaptionerError, match="there is no image file"):
        opened(rows)


@pytest.mark.parametrize("part", ["end", "offsets", "nothing left"])
def test_damaged_index_is_told_with_its_file(rows: DataConfig, built: list[Path], part: str) -> None:
    first = opened(rows)[0]
    content = bytearray(built[0].read_bytes())
    if part == "end":
        del content[-20:]
    elif part == "nothing left":
        content.clear()
    else:  # of where the text of column "source" begins
        place = content.index(os.fsencode(first.source))
        content[place - 64 : place] = b"\xff" * 64
    built[0].write_bytes(content)
    with pytest.raises(CaptionerError, match=rf"run.cache: {built[0]} is damaged \(.*\); delete it"):
        list(opened(rows))
    built[0].unlink()
    assert list(opened(rows)) == load_split(rows, "train")


def test_one_builds_and_others_wait(rows: DataConfig, built: list[Path]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: list(opened(rows)), range(4)))
    assert found == [load_split(rows, "train")] * 4 and len(built) == 1


def test_builder_that_is_killed_is_told(rows: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = Path(rows.root, "kill")
    kill.write_text("#!/bin/sh\nkill -9 $$\n")
    kill.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(kill))
    with pytest.raises(CaptionerError, match=r"run.index: .* signal 9"):
        opened(rows)
    monkeypatch.setattr(sys, "executable", str(kill) + "ed")
    with pytest.raises(CaptionerError, match="cannot be started"):
        opened(rows)


def test_what_a_killed_builder_left_is_removed(rows: DataConfig, built: list[Path]) -> None:
    opened(rows)
    (half := built[0].with_name(f".{FILE}.abc.part")).write_bytes(built[0].read_bytes()[:99])
    built[0].unlink()
    assert list(opened(rows)) == load_split(rows, "train") and not half.exists()


def test_wrong_data_is_told_and_leaves_nothing(rows: DataConfig) -> None:
    """By the process that reads it."""
    (Path(rows.root) / "all.jsonl").write_text("{}\n")
    messages = []
    for choice in ("never", "always"):
        with pytest.raises(CaptionerError) as caught:
            opened(rows, choice=choice)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert list((Path(rows.root) / "cache").iterdir()) == []


def test_auto_is_for_many_images(
    rows: DataConfig, built: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = load_split(rows, "train")
    assert opened(rows, choice="auto") == listed and not built  # the files are too small to ask further
    monkeypatch.setattr(opening, "FEWEST_BYTES", 0)
    assert opened(rows, choice="auto") == opened(rows, choice="auto") == listed
    assert len(built) == 1  # says how many there are
    monkeypatch.setattr(opening, "LARGE", len(listed))
    assert list(opened(rows, choice="auto")) == listed and len(built) == 2
    assert isinstance(opened(rows, choice="auto"), IndexedRecords)


def test_without_pyarrow(rows: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "has_arrow", lambda: False)
    monkeypatch.setattr(opening, "FEWEST_BYTES", 0)
    monkeypatch.setattr(opening, "LARGE", 3)
    notes: list[str] = []
    assert opened(rows, choice="auto", notes=notes) == load_split(rows, "train")
    assert "captioner[large]" in notes[-1]
    with pytest.raises(CaptionerError, match=re.escape("pip install 'captioner[large]'")):
        opened(rows)


def test_training_from_an_index_is_the_same(tmp_path: Path) -> None:
    """Two steps with mirror images give the same weights and the same state, which is resumed without one."""
    for split in ("train", "val"):
        rows = []
        for i, record in enumerate(tiny.records(split)[:8]):
            record.source().save(tmp_path / f"{split}{i}.png")
            rows.append({"image": f"{split}{i}.png", "caption": record.captions})
        (tmp_path / f"{split}.json").write_text(json.dumps(rows))
    states = []
    for choice in ("never", "always"):
        config = tiny.config(tmp_path, flip=0.5)
        config.data = TableConfig(root=str(tmp_path), train="train.json", val="val.json")
        config.run.index = choice
        folder = tmp_path / choice
        train(config, folder, report=tiny.silent)
        states.append(load_resume_state(folder / RESUME_FILE))
    assert list((tmp_path / "cache").glob("index-*/captions-*.arrow"))
    listed, indexed = (state["model"] for state in states)
    assert all(torch.equal(listed[name], indexed[name]) for name in listed)
    check_same(states[0]["data"], states[1]["data"]["splits"], [], None)
    config.run.index, config.training.epochs = "never", 2
    train(config, folder, resume=True, report=tiny.silent)
