"""Paths on the command line are taken as they stand."""

from __future__ import annotations

import shlex
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from support import tiny

from captioner.cli.main import main
from captioner.config.compose import run_command
from captioner.config.paths import as_they_stand, path_keys
from captioner.config.schema import COMMANDS
from captioner.errors import CaptionerError
from captioner.system.atomic_files import make_own_folder
from captioner.system.signals import Stopped

NAMES = [
    "runs/a",
    "données/run 1",
    "Größe/прогон",
    "照片",
    "a=b",
    "k=v=w",
    "f(8",
    "2019) old",
    "[x",
    "[2019] b",
    "a,b",
    "it's",
    'say "it\'s"',
    "#1",
    "a&b",
    "a;b | c",
    "50%",
    "{a",
    " a ",
    "C:\\data\\",
    "a\\'b'c\\\\",
    "glob(x)",
    "1e5",
    "2024_01_15",
    "12_0",
    "007",
    "-3",
    "0x1f",
    "true",
    "Null and void",
    "nan",
    "no",
]


def given(command: str, *arguments: str) -> list[Any]:
    """The configurations that a command would run with."""
    configs: list[Any] = []
    run_command(command, COMMANDS[command], configs.append, arguments)
    return configs


@pytest.mark.parametrize("name", NAMES)
def test_path_reaches_hydra_as_it_stands(name: str) -> None:
    (quoted,) = as_they_stand("train", [f"output={name}"])
    parsed = OverridesParser.create().parse_override(quoted)
    assert (parsed.key_or_group, parsed.value()) == ("output", name)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_options_stand_anywhere(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where ``evaluate -m checkpoint=RUN`` gets the data of the run put before it."""
    monkeypatch.chdir(tmp_path)
    arguments = ["data=scenes", "data.train=1,2"]
    arguments.insert(place, "-m")
    assert [config.data.train for config in given("train", *arguments)] == [1, 2]


def test_paths_are_taken_as_they_stand_in_every_place() -> None:
    a, b, c, d, e, f = "it's (1)", "1e5", "12_0", "[x", "照片 #2", "true"
    places = [f"output={a}", f"init={b}", f"run.cache={c}", f"encoder.weights={d}", f"data.root={e}"]
    (config,) = given("train", "data=table", *places, f"data.train={f}")
    assert (config.output, config.init, config.run.cache, config.encoder.weights) == (a, b, c, d)
    assert (config.data.root, config.data.train) == (e, f)


@pytest.mark.parametrize("command", ["compare", "evaluate", "check"])
def test_every_command_takes_its_paths_as_they_stand(command: str) -> None:
    needed = ["checkpoint=a=b"] if command == "evaluate" else []
    (config,) = given(command, "run.cache=ä (1)", "output=2024_01_15", *needed)
    assert (config.run.cache, config.output) == ("ä (1)", "2024_01_15")
    assert not needed or config.checkpoint == "a=b"


def test_keys_of_paths_are_those_that_are_declared() -> None:
    assert {"checkpoint", "output", "run.cache", "data.root", "data.test_images"} <= path_keys("evaluate")
    assert {"output", "init", "resume", "encoder.weights", "data.file"} <= path_keys("train")
    assert not {"device", "data.name", "data.holdout", "split"} & path_keys("evaluate")


def test_every_path_of_an_ensemble_is_taken_as_it_stands() -> None:
    (config,) = given("evaluate", "checkpoint=[données/a, run (2),1e5]")
    assert config.checkpoint == ["données/a", "run (2)", "1e5"]


@pytest.mark.parametrize("typed", ["null", "'a b'", '"a b"', "runs/x"])
def test_what_hydra_understands_stays(typed: str) -> None:
    assert as_they_stand("train", [f"output={typed}"]) == [f"output={typed}"]


def test_null_is_no_folder() -> None:
    (config,) = given("train", "output=null")
    assert config.output is None


def test_number_of_a_key_that_elsewhere_is_a_path_is_a_number() -> None:
    (config,) = given("train", "data=scenes", "data.train=12")
    assert config.data.train == 12


def test_multirun_sweeps_over_paths_and_takes_a_single_one_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configs = given("train", "-m", "init=a,b", "output=1e5", "run.cache=mes données")
    assert [config.init for config in configs] == ["a", "b"]
    assert {(config.output, config.run.cache) for config in configs} == {("1e5", "mes données")}


@pytest.mark.parametrize("name", ["run", "données/run 1", "it's (1)", "$HOME & [a]", "1e5"])
def test_printed_line_that_resumes_can_be_pasted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []

    def train(config: object, folder: Path, resume: bool, **_: object) -> None:
        folders.append(folder)
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr("captioner.training.loop.train", train)
    monkeypatch.setattr("captioner.training.saved_config.resumed_config", lambda folder, _: None)
    monkeypatch.chdir(tmp_path)
    for arguments in (["train", *tiny.OVERRIDES, f"output={name}"], None):
        with pytest.raises(SystemExit):
            main(arguments or shlex.split(capsys.readouterr().err.split("with: captioner ")[1]))
    assert folders == [Path(name)] * 2


def test_run_is_resumed_with_a_cache_of_any_name(tmp_path: Path) -> None:
    from captioner.training.run_folder import write_config
    from captioner.training.saved_config import resumed_config

    write_config(tiny.config(tmp_path), tmp_path)
    overrides = as_they_stand("train", ["run.cache=it's 1", "training.epochs=7", "training.save_minutes=2"])
    config = resumed_config(tmp_path, overrides)
    assert (config.run.cache, config.training.epochs) == (str(Path.cwd() / "it's 1"), 7)


# --- home -----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, which is not the folder that commands run in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize("command", ["train", "compare", "evaluate", "check"])
def test_home_is_meant_by_outputs(home: Path, command: str) -> None:
    needed = ["checkpoint=x"] if command == "evaluate" else []
    (config,) = given(command, "output=~/new run", *needed)
    assert config.output == str(home / "new run")


def test_home_is_meant_by_a_run_to_resume(home: Path) -> None:
    (config,) = given("train", "resume=~/run")
    assert config.resume == str(home / "run")


@pytest.mark.parametrize(
    ("typed", "made"),
    [
        ("scenes ~/s --count 1", "s/test.jsonl"),
        ("caption s.png --output=~/c.jsonl", "c.jsonl"),
        ("attend s.png --output=~/att", "att/s.png"),
        ("average MODEL --half --output=~/m.safetensors", "m.safetensors"),
    ],
)
def test_home_is_meant_by_outputs_of_options(home: Path, typed: str, made: str) -> None:
    Image.new("RGB", (32, 32)).save("s.png")
    words = typed.replace("MODEL", str(tiny.model_file())).split()
    words += ["--checkpoint", str(tiny.model_file())] * (words[0] in ("caption", "attend"))
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert not caught.value.code
    assert (home / made).exists() and not Path("~").exists()


# --- folders named by the time --------------------------------------------------------------------


def test_runs_begun_in_one_second_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopwatch(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopwatch:
            return cls(2024, 1, 15, 12, 30, 5)

    folders: list[str] = []
    monkeypatch.setattr(
        "captioner.training.loop.train", lambda _, folder, resume, **__: folders.append(str(folder))
    )
    monkeypatch.setattr("captioner.cli.train.datetime", Stopwatch)
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        with pytest.raises(SystemExit):
            main(["train", *tiny.OVERRIDES])
    first = "runs/2024-01-15_12-30-05"
    assert folders == [first, f"{first}-2", f"{first}-3"]


def test_folder_of_ones_own_is_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "a.b").touch()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_own_folder(tmp_path / "a.b", "output"), range(20)))
    assert len(set(made)) == 20 and tmp_path / "a.b-2" in made


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CaptionerError, match=r"^output: cannot make the folder"):
        make_own_folder(tmp_path / "file" / "run", "output")
