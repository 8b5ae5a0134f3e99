"""``captioner caption --output F.jsonl --resume``: no record is lost, none is written twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import tiny
from tools.kill_anywhere import ended, forked

from captioner.cli import writers as command
from captioner.cli.main import main
from captioner.system.locks import owned

Command = Callable[..., int]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five scenes and a file that is none, in the middle."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, record in zip("bdfha", tiny.records()):
        record.source().save(folder / f"{name}.png")  # type: ignore[operator]
    (folder / "c.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "captions.jsonl"


@pytest.fixture
def caption(photos: Path, output: Path) -> Command:
    """``captioner caption photos --output captions.jsonl ARGUMENTS``; returns its exit status."""

    def run(*arguments: object) -> int:
        given = ["caption", photos, *arguments, "--checkpoint", tiny.model_file(), "--output", output]
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in [*given, "--device", "cpu", "--batch-size", 1]])
        return int(caught.value.code or 0)

    return run


def test_output_cut_anywhere_is_completed(caption: Command, output: Path) -> None:
    assert caption() == 1
    whole = output.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 6
    for length in (0, 1, 9, 15, ends[0] - 1, ends[0], ends[1] + 1, ends[3] - 7, ends[5] - 1, ends[5]):
        output.write_bytes(whole[:length])
        assert caption("--resume") == 1  # one image cannot be read, whenever that was found
        assert output.read_bytes() == whole, f"cut after {length} bytes"


def test_killed_command_goes_on(caption: Command, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caption()
    whole = output.read_bytes()
    output.unlink()
    real, calls = command.as_record, iter(range(6))

    def as_record(*arguments: Any) -> object:
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(command, "as_record", as_record)
        assert ended(forked(lambda: caption("--resume"))) == -signal.SIGKILL
    assert output.read_bytes() == b"".join(whole.splitlines(keepends=True)[:3])
    assert caption("--resume") == 1
    assert output.read_bytes() == whole


def test_photos_that_came_later_are_added(caption: Command, photos: Path, output: Path) -> None:
    caption()
    (photos / "b.png").rename(photos / "aa.png")
    caption("--resume")
    names = [Path(json.loads(line)["path"]).name for line in output.read_text().splitlines()]
    assert names == [*(f"{name}.png" for name in "abcdfh"), "aa.png"]


def test_image_that_is_asked_for_twice_gets_two_records(caption: Command, photos: Path, output: Path) -> None:
    caption(photos / "a.png", photos / "a.png")
    whole = output.read_bytes()
    assert whole.count(b"a.png") == 3
    output.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    caption(photos / "a.png", photos / "a.png", "--resume")
    assert output.read_bytes() == whole


def test_without_resume_the_output_is_written_anew(caption: Command, output: Path) -> None:
    caption()
    whole = output.read_bytes()
    caption()
    assert output.read_bytes() == whole


@pytest.mark.parametrize("held", ["a photo", "a photo\n", '{"caption": "a"}\n', "[]\n", '{"path": 3}\n'])
def test_file_of_another_kind_is_left_as_it_is(
    caption: Command, output: Path, capsys: pytest.CaptureFixture[str], held: str
) -> None:
    output.write_text(held)
    assert caption("--resume") == 2
    assert "line 1" in capsys.readouterr().err and output.read_text() == held


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_device_cannot_be_gone_on_with(
    caption: Command, output: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    """/dev/full can be read without end."""
    output.symlink_to(device)
    assert caption("--resume") == 2
    assert capsys.readouterr().err == f"captioner: --resume: {output} is not a file\n"


def test_text_cannot_be_gone_on_with(caption: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert caption("--resume", "--format", "text") == 2
    assert capsys.readouterr().err.startswith("captioner: --resume: needs --output FILE.jsonl")


def test_two_commands_cannot_go_on_with_one_file(
    caption: Command, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.touch()
    with owned(output):
        assert caption("--resume") == 2
    assert "another process" in capsys.readouterr().err


def test_full_disk_is_told_and_can_be_gone_on_from(
    caption: Command, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    caption()
    whole = output.read_bytes()
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))
    try:
        assert caption() == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert error == f"captioner: --output: cannot write {output} (File too large)\n"
    caption("--resume")
    assert output.read_bytes() == whole
