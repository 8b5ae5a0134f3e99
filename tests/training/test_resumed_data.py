"""A run goes on with the data that it began with, and refuses any other before it writes anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree

import pytest
import torch
from support import tiny
from torch import nn

from captioner.checkpoint.file import load_checkpoint
from captioner.config.data import TableConfig
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.features import identity
from captioner.model.backbones import small_stages
from captioner.training import record_digests
from captioner.training.loop import train
from captioner.training.run_folder import load_resume_state, save_resume_state

Rows = list[tuple[str, list[str]]]  # image, captions
FILES = ("model.safetensors", "resume.pt", "config.yaml", "metrics.jsonl", "timings.jsonl")


def read(data: Path, split: str) -> Rows:
    lines = [json.loads(line) for line in (data / f"{split}.jsonl").read_text().splitlines()]
    return [(line["image"], line["caption"]) for line in lines]


def write(data: Path, split: str, rows: Rows) -> None:
    lines = [json.dumps({"image": image, "caption": captions}) for image, captions in rows]
    (data / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def config(folder: Path, **training: object) -> TrainConfig:
    """A run on what lies in ``folder / "data"``."""
    run = tiny.config(folder, **training)
    run.data = TableConfig(root=str(folder / "data"), train="train.jsonl", val="val.jsonl")
    return run


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with captions, and a run on them: copies are changed."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "data").mkdir()
    for split in ("train", "val"):
        rows = []
        for i, record in enumerate(tiny.records(split)):
            record.source().save(folder / "data" / f"{split}{i}.png")
            rows.append((f"{split}{i}.png", list(record.captions)))
        write(folder / "data", split, rows)
    train(config(folder), folder / "run", report=tiny.silent)
    return folder


@pytest.fixture
def copy(begun: Path, tmp_path: Path) -> Path:
    return copytree(begun, tmp_path / "copy")


def kept(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in FILES}


def refused(folder: Path, **training: object) -> str:
    """What resuming says; the run folder is as it was."""
    before, events = kept(folder / "run"), sorted((folder / "run").glob("events*"))
    with pytest.raises(CaptionerError) as caught:
        train(config(folder, **training), folder / "run", resume=True, report=tiny.silent)
    assert kept(folder / "run") == before
    assert sorted((folder / "run").glob("events*")) == events
    message = str(caught.value)
    assert message.startswith("resume: ") and "init=RUN" in message
    return message


def fewer_captions(rows: Rows) -> Rows:
    return [*rows[:5], (rows[5][0], rows[5][1][:-1]), *rows[6:]]


def captions_exchanged(rows: Rows) -> Rows:
    """The same words and the same captions, of other images."""
    (one, first), (other, second) = rows[5:7]
    return [*rows[:5], (one, second), (other, first), *rows[7:]]


def captions_turned(rows: Rows) -> Rows:
    return [*rows[:5], (rows[5][0], rows[5][1][::-1]), *rows[6:]]


@pytest.mark.parametrize("epochs", [1, 2])  # nothing left to do, and something
def test_replaced_word_is_named(copy: Path, epochs: int) -> None:
    for split in ("train", "val"):
        text = (copy / "data" / f"{split}.jsonl").read_text()
        (copy / "data" / f"{split}.jsonl").write_text(text.replace("circle", "zebra"))
    rows = read(copy / "data", "train")
    first = next(image for image, captions in rows if "zebra" in " ".join(captions))
    message = refused(copy, epochs=epochs)
    assert "'circle' is no longer in the vocabulary and 'zebra' is new in it" in message
    assert f"the training split has other captions than before (the first are those of '{first}')" in message


@pytest.mark.parametrize("change", [fewer_captions, captions_exchanged, captions_turned])
@pytest.mark.parametrize(("split", "called"), [("train", "training"), ("val", "validation")])
def test_image_with_other_captions_is_named(
    copy: Path, change: Callable[[Rows], Rows], split: str, called: str
) -> None:
    before = read(copy / "data", split)
    write(copy / "data", split, change(before))
    assert read(copy / "data", split) != before
    message = refused(copy)
    assert (
        f"the {called} split has other captions than before (the first are those of '{split}5.png')"
        in message
    )


@pytest.mark.parametrize(("split", "count"), [("train", 16), ("val", 8)])
def test_images_that_are_missing_new_or_elsewhere_are_named(copy: Path, split: str, count: int) -> None:
    rows = read(copy / "data", split)
    write(copy / "data", split, [*rows[:3], *rows[4:]])
    message = refused(copy)
    assert f"has {count - 1} images and had {count} (the first that is missing is '{split}3.png')" in message
    (copy / "data" / "more.png").write_bytes((copy / "data" / "train0.png").read_bytes())
    write(copy / "data", split, [*rows, ("more.png", ["a circle"])])
    assert f"has {count + 1} images and had {count} (the first new one is 'more.png')" in refused(copy)
    write(copy / "data", split, [*rows[:2], rows[3], rows[2], *rows[4:]])
    assert f"another order (number 3 was '{split}2.png' and is '{split}3.png')" in refused(copy)


@pytest.mark.parametrize("split", ["train", "val"])
def test_photo_replaced_under_its_name_is_named(copy: Path, split: str) -> None:
    with (copy / "data" / f"{split}4.png").open("ab") as file:
        file.write(b"more")
    assert f"another photo than before under the name '{split}4.png'" in refused(copy)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_photo_replaced_by_one_of_its_size_is_named(copy: Path, split: str, place: str) -> None:
    path = copy / "data" / f"{split}6.png"
    before = path.read_bytes()
    at = {"first": 40, "middle": len(before) // 2, "last": len(before) - 20}[place]
    path.write_bytes(before[:at] + bytes([before[at] ^ 255]) + before[at + 1 :])
    assert f"another photo than before under the name '{split}6.png', of the same size" in refused(copy)


@pytest.fixture
def many(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data and a run of so many images that a sample is looked at: every second image of sixteen."""
    monkeypatch.setattr(identity, "LARGE", 16)
    monkeypatch.setattr(record_digests, "SAMPLE", 8)
    rmtree(copy / "run")
    train(config(copy), copy / "run", report=tiny.silent)
    return copy


def test_of_many_images_a_difference_is_noticed(many: Path) -> None:
    rows = read(many / "data", "train")
    for changed, told in (
        (rows[1:], "has 15 images and had 16"),
        ([*rows[:2], rows[3], rows[2], *rows[4:]], "another order ('train3.png' stands where 'train2.png'"),
        ([*rows[:4], (rows[4][0], ["a circle"]), *rows[5:]], "the first are those of 'train4.png'"),
        (fewer_captions(rows), "has other images or captions than before"),  # not of the sample
    ):
        write(many / "data", "train", changed)
        assert told in refused(many)
    write(many / "data", "train", rows)
    with (many / "data" / "train4.png").open("ab") as file:
        file.write(b"more")
    assert "another photo than before under the name 'train4.png'" in refused(many)


def test_many_images_that_are_the_same_go_on(many: Path) -> None:
    assert "names" not in load_resume_state(many / "run" / "resume.pt")["data"]["splits"]["train"]
    train(config(many, epochs=2), many / "run", resume=True, report=tiny.silent)
    assert len((many / "run" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "training", [{"batch_size": 2}, {"seed": 7}, {"captions_per_image": 1}, {"crop": 0.5}, {"flip": 0.5}]
)
def test_epoch_ends_with_the_batches_that_it_began_with(copy: Path, training: dict[str, object]) -> None:
    state = load_resume_state(copy / "run" / "resume.pt")
    state["progress"]["sums"] |= {"images": 8, "steps": 2}
    save_resume_state(state, copy / "run" / "resume.pt")
    ((key, value),) = training.items()
    before = kept(copy / "run")
    with pytest.raises(CaptionerError) as caught:
        train(config(copy, **training), copy / "run", resume=True, report=tiny.silent)
    assert f"resume: training.{key}={value} cannot end an epoch that began with " in str(caught.value)
    assert "of which 8 images are done" in str(caught.value) and kept(copy / "run") == before


def test_next_epoch_may_have_other_batches(copy: Path) -> None:
    train(config(copy, epochs=2, batch_size=8, seed=3), copy / "run", resume=True, report=tiny.silent)
    assert load_resume_state(copy / "run" / "resume.pt")["data"]["batches"]["batch_size"] == 8


def test_state_that_knows_no_bytes_but_sizes_goes_on(copy: Path) -> None:
    state = load_resume_state(copy / "run" / "resume.pt")
    for split in state["data"]["splits"].values():
        del split["content"]
    del state["data"]["batches"]
    save_resume_state(state, copy / "run" / "resume.pt")
    train(config(copy, epochs=2), copy / "run", resume=True, report=tiny.silent)
    assert "content" in load_resume_state(copy / "run" / "resume.pt")["data"]["splits"]["val"]


def test_data_may_move(copy: Path, begun: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (copy / "data").rename(moved / "data")
    run = config(copy, epochs=2)
    run.data.root = str(moved / "data")  # type: ignore[attr-defined]
    train(run, copy / "run", resume=True, report=tiny.silent)
    other = copytree(begun, tmp_path / "other")
    train(config(other, epochs=2), other / "run", resume=True, report=tiny.silent)
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (copy / "run" / name).read_bytes() == (other / "run" / name).read_bytes()
    assert len((copy / "run" / "metrics.jsonl").read_text().splitlines()) == 2


def test_finished_run_is_as_it_was(copy: Path, begun: Path) -> None:
    before = kept(copy / "run")
    train(config(begun), copy / "run", resume=True, report=tiny.silent)
    assert kept(copy / "run") == before


def test_resumed_run_needs_no_model_that_it_started_from(copy: Path, tmp_path: Path) -> None:
    """Not even where its file holds another model by now."""
    start = tmp_path / "start.safetensors"
    start.write_bytes((copy / "run" / "model.safetensors").read_bytes())
    rows = read(copy / "data", "train")
    write(copy / "data", "train", [(rows[0][0], ["a quokka"] * 3), *rows[1:]])

    def adapted(epochs: int) -> TrainConfig:
        run = config(copy, epochs=epochs, schedule="constant", warmup=0.0)
        run.init = str(start)
        return run

    train(adapted(2), copy / "whole", report=tiny.silent)
    train(adapted(1), copy / "parts", report=tiny.silent)
    start.write_bytes(tiny.model_file().read_bytes())
    train(adapted(2), copy / "parts", resume=True, report=tiny.silent)
    one, other = (load_resume_state(copy / name / "resume.pt") for name in ("whole", "parts"))
    assert one["data"]["words"] == other["data"]["words"] and one["data"]["words"][-1] == "quokka"
    assert one["data"]["new_words"] == 1
    assert all(torch.equal(weight, other["model"][name]) for name, weight in one["model"].items())


def test_resumed_run_encodes_photos_with_its_own_weights(copy: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"

    def frozen(cache: str, epochs: int) -> TrainConfig:
        run = config(copy, epochs=epochs, schedule="constant", warmup=0.0)
        run.encoder.weights, run.encoder.fine_tune = str(file), False
        run.run.cache = str(tmp_path / cache)
        return run

    def save_weights(seed: int) -> None:
        torch.manual_seed(seed)
        torch.save(nn.Sequential(small_stages()).state_dict(), file)

    save_weights(0)
    train(frozen("one", 2), copy / "whole", report=tiny.silent)
    train(frozen("two", 1), copy / "parts", report=tiny.silent)
    save_weights(1)
    train(frozen("three", 2), copy / "parts", resume=True, report=tiny.silent)
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (copy / "parts" / name).read_bytes() == (copy / "whole" / name).read_bytes()


def forget_data(run: Path) -> None:
    """Make the state one of before states knew their data."""
    state = load_resume_state(run / "resume.pt")
    del state["data"]
    save_resume_state(state, run / "resume.pt")


def test_state_without_its_data_goes_on_and_learns_it(copy: Path, begun: Path) -> None:
    forget_data(copy / "run")
    train(config(copy, epochs=2), copy / "run", resume=True, report=tiny.silent)
    known = load_resume_state(copy / "run" / "resume.pt")["data"]
    assert known["words"] == load_resume_state(begun / "run" / "resume.pt")["data"]["words"]


def test_state_without_its_data_is_held_to_its_models_words(copy: Path) -> None:
    forget_data(copy / "run")
    text = (copy / "data" / "train.jsonl").read_text()
    (copy / "data" / "train.jsonl").write_text(text.replace("circle", "zebra"))
    assert "'circle' is no longer in the vocabulary and 'zebra' is new in it" in refused(copy)
    assert "circle" in load_checkpoint(copy / "run").vocabulary.index


def test_damaged_record_of_data_is_told(copy: Path) -> None:
    state = load_resume_state(copy / "run" / "resume.pt")
    for damaged in (
        {},
        {**state["data"], "splits": 3},
        {k: v for k, v in state["data"].items() if k != "unit"},
    ):
        save_resume_state({**state, "data": damaged}, copy / "run" / "resume.pt")
        with pytest.raises(CaptionerError, match=r"^resume: the state.*\)$"):
            train(config(copy), copy / "run", resume=True, report=tiny.silent)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>\n"])
def test_state_that_is_no_state_is_told_in_one_line(copy: Path, content: bytes) -> None:
    """Of an empty file torch says nothing at all."""
    (copy / "run" / "resume.pt").write_bytes(content)
    with pytest.raises(CaptionerError, match=r"resume\.pt is damaged \(.+\)$"):
        train(config(copy), copy / "run", resume=True, report=tiny.silent)
