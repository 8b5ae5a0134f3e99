"""A shell script in the place of Java."""

from __future__ import annotations

from pathlib import Path

import pytest

ECHO = 'case "$*" in *PTB*) cat;; *) {meteor};; esac'  # a tokenizer that changes nothing, and a METEOR


def use_java(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Make ``java`` a shell script."""
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
