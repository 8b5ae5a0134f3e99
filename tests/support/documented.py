"""The commands of README and docs, as they are written there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = "captioner|python|torchrun|bash|pytest|pip|mkdocs|git|npm|curl|sbatch|ray"
COMMAND = re.compile(rf"(\w+=\S+ )*({PROGRAMS}) .+")
SCRIPT = re.compile(r"#!|\w+=\S+\n|apiVersion:")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n+)+")


class Written(NamedTuple):
    """A command of a page, or a whole script of it."""

    page: str
    text: str


def commands(page: Path) -> list[Written]:
    """What a page's blocks of code say, then what its sentences name with arguments, each once."""
    text = page.read_text(encoding="utf-8")
    sentences = FENCED.sub("", text)
    blocks = [code for language, code in FENCED.findall(text) if language in ("", "bash")]
    blocks += [dedent(block) for block in INDENTED.findall(sentences)]
    found = [command for block in blocks for command in _of_block(block)]
    found += _of_sentences(INDENTED.sub("", sentences))
    return [Written(page.relative_to(ROOT).as_posix(), command) for command in dict.fromkeys(found)]


def _of_block(code: str) -> Iterator[str]:
    if SCRIPT.match(code):
        yield code
        return
    for line in re.sub(r"\\\n *", "", code).splitlines():
        if COMMAND.match(line):
            yield re.sub(r"\s+#.*", "", line).strip()


def _of_sentences(text: str) -> Iterator[str]:
    for code in re.findall(r"`([^`]+)`", text):
        command = " ".join(code.split())
        if COMMAND.fullmatch(command) and not re.fullmatch(r"captioner [a-z]+", command):
            yield command
