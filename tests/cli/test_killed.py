"""Commands on photos killed anywhere: what they resume to is what they would have written undisturbed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import tiny
from tools.kill_anywhere import ended, forked

from captioner.cli.main import main
from captioner.cli.output.journal import Journal

FORMATS = ["png", "gif", "html"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four scenes, two of which share their names, and a file that is none."""
    tiny.write_photos(tmp_path / "photos", ("a", "b", "below/a", "d"))
    (tmp_path / "photos" / "c.png").write_bytes(b"no image")
    return tmp_path / "photos"


def run(command: str, photos: Path, *arguments: object) -> int:
    given = [command, photos, "--checkpoint", tiny.model_file(), "--device", "cpu", "--batch-size", 1]
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in [*given, *arguments]])
    return int(caught.value.code or 0)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "moment"),
    [  # drawing takes seconds: pictures at every third moment, and at the others where there is time
        pytest.param(kind, moment, marks=[] if kind == "html" or moment % 3 == 1 else pytest.mark.slow)
        for kind in FORMATS
        for moment in range(9)
    ],
)
def test_attend_killed_between_any_two_records_resumes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, moment: int
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run("attend", photos, "--output", whole, "--format", kind) == 1
    real, calls = Journal.note, iter(range(100))

    def note(self: Journal, record: dict[str, object]) -> None:
        if next(calls) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", note)
        status = ended(forked(lambda: run("attend", photos, "--output", stopped, "--format", kind)))
    assert status == -signal.SIGKILL
    assert run("attend", photos, "--output", stopped, "--format", kind, "--resume") == 1
    assert normal(files(stopped)) == normal(files(whole))


def normal(found: dict[str, bytes]) -> dict[str, object]:
    """Pictures by their names alone: figures hold the time at which they were drawn."""
    return {name: None if name.endswith((".png", ".gif")) else content for name, content in found.items()}


def test_stopped_command_is_not_begun_again_by_mistake(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "attend.part").write_text('{"path": "x", "caption": "y", "output": "z.png"}\n')
    assert run("attend", photos, "--output", out) == 2
    assert "--resume continues it, --overwrite starts over" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["html", "png", "jsonl", "json", "csv", "txt"])
def test_killed_at_twenty_random_moments(photos: Path, tmp_path: Path, kind: str) -> None:
    """By SIGINT, SIGTERM and SIGKILL in turn."""
    attend = kind in FORMATS

    def command(folder: Path, *more: object) -> Callable[[], int]:
        folder.mkdir(exist_ok=True)
        output = [folder, "--format", kind] if attend else [folder / f"out.{kind}"]
        return lambda: run("attend" if attend else "caption", photos, "--output", *output, *more)

    start = time.perf_counter()
    assert command(tmp_path / "whole")() == 1
    seconds, draw = time.perf_counter() - start, random.Random(kind)
    for number in range(20):
        folder, resume = tmp_path / f"stopped{number}", []
        for kill in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3 :][:2]:
            child = forked(command(folder, *resume))
            time.sleep(draw.uniform(0, seconds))
            os.kill(child, kill)
            if ended(child) == 1:
                break
            resume = ["--resume"]
        else:
            status = command(folder, "--resume")()
            complete = attend and not (folder / "attend.part").exists()  # killed after all was done
            assert status == 1 or (status == 2 and complete)
        assert normal(files(folder)) == normal(files(tmp_path / "whole"))
