"""The load test on few images; ``python tests/tools/load_caption.py`` runs it on many."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import tiny
from tools import load_caption

from captioner.cli.main import main

COUNT = 150


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of images and the file of answers."""
    folder = tmp_path_factory.mktemp("load")
    load_caption.make_images(folder / "images", COUNT)
    command = ["caption", str(folder / "images"), "--format", "jsonl", "--device", "cpu"]
    command += ["--checkpoint", str(tiny.model_file()), "--output", str(folder / "out.jsonl")]
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 1
    return folder / "images", folder / "out.jsonl"


def test_no_answer_is_lost_doubled_or_wrong(answers: tuple[Path, Path]) -> None:
    folder, output = answers
    assert load_caption.check(output, folder, COUNT) == []


@pytest.mark.parametrize("damage", ["lost", "doubled", "swapped", "wrong"])
def test_check_would_notice(answers: tuple[Path, Path], tmp_path: Path, damage: str) -> None:
    folder, output = answers
    lines = output.read_text().splitlines()
    if damage == "lost":
        del lines[70]
    elif damage == "doubled":
        lines.append(lines[3])
    elif damage == "swapped":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines[0] = lines[0].replace('"caption": "', '"caption": "not ')
    (tmp_path / "out.jsonl").write_text("\n".join(lines))
    assert load_caption.check(tmp_path / "out.jsonl", folder, COUNT)


@pytest.mark.slow
def test_memory_is_flat_over_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["load_caption.py", "--count", "3000"])
    assert load_caption.main() == 0
