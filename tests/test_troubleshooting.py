"""docs/troubleshooting.md: twenty questions, and every command in it is one that its program understands."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from captioner.cli.main import main
from captioner.config.declare import choices_of
from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE
from captioner.data.load import LOADERS

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
