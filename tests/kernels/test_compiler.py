"""A compiler that does not work costs one line, and the result is that of the plain function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from captioner.kernels import compiler

CODE = """
import torch
from captioner.kernels.compiler import use_compiler
from captioner.kernels.word_loss import word_loss
use_compiler(True)
for words in (3, 5):
    total, _ = word_loss(torch.ones(words, 4), torch.ones(8, 4), torch.zeros(8), torch.arange(words))
    print(round(total.item() / words, 3))
"""
VERSION = '#!/bin/sh\ncase "$*" in *--version*) echo "g++ 13"; exit;; esac\n'
FAKES = {
    "fails": VERSION + 'echo "x.h: error: lost" >&2; exit 1',
    "writes text": VERSION + 'while [ $# -gt 0 ]; do case "$1" in -o) echo text > "$2";; esac; shift; done',
}


def without_compiler(tmp_path: Path, **environment: str) -> list[str]:
    """What word_loss says on standard error with an empty cache and this environment."""
    given = {k: v for k, v in os.environ.items() if k != "CXX"}
    given |= {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), **environment}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=given)
    assert (done.returncode, done.stdout) == (0, "2.079\n2.079\n"), done.stderr
    lines = done.stderr.splitlines()
    return [line for line in lines if "No CUDA runtime" not in line]  # torch's own, with any compiler


@pytest.mark.parametrize("fake", ["fails", pytest.param("writes text", marks=pytest.mark.slow)])
def test_compiler_that_does_not_work_is_told_in_one_line(tmp_path: Path, fake: str) -> None:
    path = tmp_path / "g++"
    path.write_text(FAKES[fake])
    path.chmod(0o755)
    (line,) = without_compiler(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "torch.compile does not work here" in line and "run.compile=false" in line


def test_cxx_that_points_nowhere_is_told_in_one_line(tmp_path: Path) -> None:
    (line,) = without_compiler(tmp_path, CXX="/nowhere/g++")
    assert "torch.compile does not work here" in line


def test_no_compiler_at_all_is_not_worth_a_line(tmp_path: Path) -> None:
    assert without_compiler(tmp_path, PATH=str(tmp_path)) == []


def test_error_of_the_function_itself_is_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("of the function")

    monkeypatch.setattr(compiler, "_works", True)
    monkeypatch.setattr(compiler, "_compiled", lambda function: function)
    monkeypatch.setattr(compiler, "_has_compiler", lambda: True)
    compiler.use_compiler(True)
    with pytest.raises(ZeroDivisionError):
        compiler.compiled(wrong, wrong, torch.zeros(1))(torch.zeros(1))
    assert capsys.readouterr().err.count("\n") == 1
