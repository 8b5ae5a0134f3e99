"""docs/troubleshooting.md: twenty questions, and every command in it is one that its program understands."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from dataclasses import fields
from functools import cache
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from support import tiny
from support.exits import exits

from captioner.cli.main import main
from captioner.config.compose import run_command
from captioner.config.data import Flickr8kConfig
from captioner.config.declare import choices_of
from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE
from captioner.data.load import LOADERS
from captioner.training.run_folder import write_config
from captioner.training.saved_config import resumed_config

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
LINES = re.findall(r"^    captioner (.+)$", TEXT, re.MULTILINE)
CONFIGURED = [line for line in LINES if line.split()[0] in COMMANDS]
FLAGGED = [line for line in LINES if line.split()[0] not in COMMANDS]


def test_there_are_twenty_questions_with_a_command_each() -> None:
    questions = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    assert [int(question.split(".")[0]) for question in questions] == list(range(1, 21))
    assert all(re.search("^    captioner ", question, re.MULTILINE) for question in questions)


@pytest.mark.parametrize("line", CONFIGURED)
def test_keys_and_choices_are_there(line: str) -> None:
    command, *arguments = shlex.split(line)
    given = dict(word.split("=", 1) for word in arguments if not word.startswith("-"))
    for key, value in given.items():
        group, dot, name = key.partition(".")
        kinds = SCHEMAS.get(group) or ({group: SINGLE[group]} if group in SINGLE else {})
        if dot:
            kind = given.get(group) if "resume" not in given and len(kinds) > 1 else None
            schemas = [kinds[kind]] if kind is not None else list(kinds.values())
            assert any(name in {of.name for of in fields(schema)} for schema in schemas), key
        elif kinds:
            assert value in choices_of(group), key
        else:
            assert key in {of.name for of in fields(COMMANDS[command])}, key


@pytest.mark.slow
@pytest.mark.parametrize("line", CONFIGURED)
def test_command_is_composed(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command, *arguments = shlex.split(line)
    if arguments[0] == "resume=RUN":
        run = tiny.config(tmp_path)
        run.data = Flickr8kConfig(root="elsewhere")
        (tmp_path / "RUN").mkdir()
        write_config(run, tmp_path / "RUN")
        resumed_config(Path("RUN"), arguments)
        return
    configs: list[object] = []
    run_command(command, COMMANDS[command], configs.append, arguments)
    assert len(configs) == (2 if "-m" in arguments else 1)


SMALLER = [
    *(
        "encoder.weights=null",
        "encoder.image_size=64",
        "encoder.mean=[0.5,0.5,0.5]",
        "encoder.std=[0.5,0.5,0.5]",
    ),
    *("attention.size=8", "decoder.hidden_size=8", "decoder.embedding_size=8", "vocabulary.min_count=1"),
    *("training.epochs=1", "run.progress=false", "run.compile=false"),
]
DATA = ["data=flickr8k", "data.root=DIR", "run.progress=false"]


def photos_with_captions(folder: Path) -> None:
    """``photos`` with their captions.csv, and ``DIR``, a Flickr8k as Kaggle has it."""
    random = Random(0)
    for place in ("photos", "DIR/Images"):
        (folder / place).mkdir(parents=True)
        for i in range(12):
            colour = tuple(random.randrange(256) for _ in range(3))
            Image.new("RGB", (80, 60), colour).save(folder / place / f"{i}.jpg")  # type: ignore[arg-type]
    rows = [f"{i}.jpg,a {word} wall is near a door" for i in range(12) for word in ("red", "blue", "green")]
    for table in ("captions.csv", "DIR/captions.txt"):
        of = [row if table != "captions.csv" else f"photos/{row}" for row in rows]
        (folder / table).write_text("\n".join(["image,caption", *of]))


@pytest.mark.slow
def test_commands_run_in_the_order_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos_with_captions(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPTIONER_CACHE", str(tmp_path / "cache"))
    runs = ["training.epochs=1", "output=RUN", "encoder=small"]
    status = exits(capsys)
    assert status("train", *DATA, *SMALLER, *runs) == 0
    for line in LINES:
        command, *arguments = shlex.split(line)
        if "run.device=cuda" in arguments and not torch.cuda.is_available():
            continue
        starts = any(argument.startswith(("resume=", "init=")) for argument in arguments)
        more = []
        if command == "train":
            more = SMALLER[-2:] if starts else SMALLER
        elif command == "evaluate":
            more = DATA
        may = (0, 3) if command == "check" else (0,)  # so little data makes no model
        assert status(command, *arguments, *more) in may, f"{line}: {status.err}"  # type: ignore[attr-defined]


@cache
def flags(command: str) -> frozenset[str]:
    told = io.StringIO()
    with redirect_stdout(told), pytest.raises(SystemExit):
        main([command, "--help"])
    return frozenset(re.findall(r"--[a-z-]+", told.getvalue()))


@pytest.mark.parametrize("line", FLAGGED)
def test_flags_are_there(line: str) -> None:
    command, *arguments = shlex.split(line)
    assert {word for word in arguments if word.startswith("--")} <= flags(command)


def test_keys_and_pages_in_the_text_are_there() -> None:
    described = (DOCS / "configuration.md").read_text(encoding="utf-8")
    groups = "data|training|run|vocabulary|encoder|decoder|attention|search|optimizer"
    keys = set(re.findall(rf"`((?:{groups})\.[a-z_]+)", TEXT))
    assert keys and [key for key in sorted(keys) if f"`{key}`" not in described] == []
    assert all((DOCS / page).is_file() for page in re.findall(r"\]\(([\w.-]+)\)", TEXT))
    assert set(re.findall(r"data=(\w+)", TEXT)) <= set(LOADERS)
