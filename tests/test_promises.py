"""docs/reliability.md: every promise names the tests that hold it, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOC = TESTS.parent / "docs" / "reliability.md"
LINES = DOC.read_text(encoding="utf-8").splitlines()
ROWS = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in LINES if line.startswith("|")]
PROMISES = [row for row in ROWS if row[0] != "promise" and set(row[0]) != {"-"}]
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def defined(file: str) -> set[str]:
    """The functions of a file under tests/."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_promises_are_found() -> None:
    assert len(PROMISES) > 20 and all(len(row) == 2 for row in PROMISES)


@pytest.mark.parametrize(("promise", "holders"), PROMISES, ids=[promise[:40] for promise, _ in PROMISES])
def test_promise_is_held_by_tests_that_are_there(promise: str, holders: str) -> None:
    named = NAMED.findall(holders)
    assert any(test.startswith("test_") for _, test in named), "no test is named"
    missing = [f"{file}::{test}" for file, test in named if test and test not in defined(file)]
    assert missing == []
    assert NAMED.sub("", holders).replace(",", "").strip() == "", "something else than names of tests"


def test_scripts_that_are_named_are_there() -> None:
    files = re.findall(r"tests/([\w/]+\.py)", DOC.read_text(encoding="utf-8"))
    assert files and all((TESTS / file).is_file() for file in files)
