"""Overrides about a run are judged by its own configuration, and its data and its folder may move."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from shutil import copytree

import pytest
from support import tiny

from captioner.cli.main import main
from captioner.config.compose import run_command
from captioner.config.data import CocoConfig, DataConfig, Flickr8kConfig, KarpathyConfig, TableConfig
from captioner.config.places import absolute
from captioner.config.run_data import folder_to_resume, with_data_of_run
from captioner.config.saved import saved_config
from captioner.config.schema import EvaluateConfig
from captioner.errors import CaptionerError
from captioner.training.run_folder import write_config
from captioner.training.saved_config import resumed_config


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on ``photos``, all of it named by relative paths."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "photos").mkdir()
    for split in ("train", "val"):
        rows = []
        for i, record in enumerate(tiny.records(split)):
            record.source().save(folder / "photos" / f"{split}{i}.png")  # type: ignore[operator]
            rows.append(json.dumps({"image": f"{split}{i}.png", "caption": list(record.captions)}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(rows))
    values = [o for o in tiny.OVERRIDES if not o.startswith("data.")] + ["encoder=small", "run.cache=cache"]
    values += ["data=table", "data.root=photos", "data.train=train.jsonl", "data.val=val.jsonl", "output=run"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.chdir(folder)
        main(["train", *values])
    assert ended.value.code == 0
    return folder


@pytest.fixture
def copy(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return copytree(begun, tmp_path / "copy")


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code, capsys.readouterr().err


def epochs(run: Path) -> int:
    return len((run / "metrics.jsonl").read_text().splitlines())


def test_run_is_resumed_from_another_folder(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its data are still those of the folder that it was begun in."""
    assert told(capsys, "train", "resume=../copy/run", "training.epochs=2") == (0, "")
    assert epochs(copy / "run") == 2


def test_data_of_a_resumed_run_may_be_said_to_lie_elsewhere(
    copy: Path, begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = copy.parent / "new place"
    (copy / "photos").rename(new)
    given = ["train", f"resume={copy / 'run'}", "training.epochs=2", f"data.train={copy / 'train.jsonl'}"]
    assert told(capsys, *given, "data.root=../new place") == (0, "")
    assert epochs(copy / "run") == 2
    assert saved_config(copy / "run", "resume").data.root == str(new)
    (new / "val3.png").write_bytes((new / "val4.png").read_bytes())
    status, line = told(capsys, *given, "data.root=../new place", "training.epochs=3")
    assert status == 2 and "another photo than before under the name 'val3.png'" in line


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("cell.reset_after=true", "cell.reset_after=true would make it another run"),
        ("vocabulary.min_count=2", "only training.*, run.*, data.* may change"),
        ("data=scenes", "would make it another run"),
        ("data.name=coco", "would make it another run"),
        ("data.rot=x", "data.rot: there is no such key, the keys here are name, "),
        ("training.epcohs=3", "did you mean epochs?"),
        ("training.epochs=many", "training.epochs: "),
        ("training.seed=1,2", "several values need -m"),
        ("training.epochs", "training.epochs"),
    ],
)
def test_override_that_is_none_is_told_in_the_runs_own_words(copy: Path, override: str, named: str) -> None:
    with pytest.raises(CaptionerError) as caught:
        resumed_config(copy / "run", [override])
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["resume=a b", "training.epochs=2"], "a b"),
        (["resume=it's (1)"], "it's (1)"),
        (["training.epochs=2", "resume=null"], None),
        (["-m", "resume=a,b"], None),
        (["init=x"], None),
    ],
)
def test_folder_to_resume_is_the_one_typed(arguments: list[str], folder: str | None) -> None:
    assert folder_to_resume(arguments) == (None if folder is None else Path(folder))


# --- evaluate ---------------------------------------------------------------------------------------


def evaluated(*arguments: str) -> EvaluateConfig:
    configs: list[EvaluateConfig] = []
    run_command("evaluate", EvaluateConfig, configs.append, with_data_of_run("evaluate", arguments))
    return configs[0]


def test_model_of_a_run_is_evaluated_on_the_runs_data(copy: Path, begun: Path) -> None:
    own = evaluated(f"checkpoint={copy / 'run'}").data
    assert isinstance(own, TableConfig)
    assert (own.root, own.train) == (str(begun / "photos"), str(begun / "train.jsonl"))
    moved = evaluated(f"checkpoint={copy / 'run' / 'model.safetensors'}", "data.root=new place").data
    assert asdict(moved) == {**asdict(own), "root": "new place"}
    assert evaluated(f"checkpoint={copy / 'run'}", "data=scenes").data.name == "scenes"
    (copy / "run" / "config.yaml").write_text("somebody: else's\n")
    assert evaluated(f"checkpoint={copy / 'run'}").data.name == "scenes"


@pytest.mark.parametrize(
    "data",
    [
        Flickr8kConfig(root="it's (1) [a], b=c", images=None, val_share=0.25),
        TableConfig(train="données.csv", caption_column=["c 0", "null"], skip_incomplete=True),
        CocoConfig(root='a "b" \\', test=None, rejected=True),
    ],
    ids=lambda data: data.name,
)
def test_every_value_of_a_runs_data_comes_through(tmp_path: Path, data: DataConfig) -> None:
    run = tiny.config(tmp_path)
    run.data = data
    write_config(run, tmp_path)
    assert evaluated(f"checkpoint={tmp_path}").data == data


def test_key_of_another_format_names_the_format(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError) as caught:
        evaluated(f"checkpoint={tmp_path}", "data.caption_column=x")
    assert str(caught.value).endswith("; data=table has it, choose that first")


# --- relative places ----------------------------------------------------------------------------------


def test_places_are_those_of_the_folder_they_were_given_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here.csv").touch()
    (tmp_path / "weights.pth").touch()
    run = tiny.config(Path("relative"))
    run.encoder.weights, run.init = "weights.pth", "pretrained"
    run.data = TableConfig(root="~/photos", train="here.csv", val="below-root.csv")
    moved = absolute(run)
    assert moved.data == TableConfig(
        root=str(tmp_path / "home/photos"), train=str(tmp_path / "here.csv"), val="below-root.csv"
    )
    assert (moved.encoder.weights, moved.init) == (str(tmp_path / "weights.pth"), "pretrained")
    assert moved.run.cache == str(tmp_path / "relative/cache")
    run.data = KarpathyConfig(file="k.json", images="images")
    assert absolute(run).data == KarpathyConfig(
        file=str(tmp_path / "k.json"), images=str(tmp_path / "images")
    )
    run.data = CocoConfig(root="coco")
    assert absolute(run).data == CocoConfig(root=str(tmp_path / "coco"))
