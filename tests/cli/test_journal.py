"""``captioner caption --output FILE --resume``: no record is lost, none is written twice."""

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

from captioner.cli.main import main
from captioner.cli.output.journal import Journal
from captioner.system.locks import owned

Command = Callable[..., int]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five scenes and a file that is none, in the middle."""
    folder = tiny.write_photos(tmp_path / "photos", "bdfha")
    (folder / "c.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "captions.jsonl"


@pytest.fixture
def part(output: Path) -> Path:
    """Where records are until the output is complete."""
    return output.with_name("captions.jsonl.part")


@pytest.fixture
def caption(photos: Path, output: Path) -> Command:
    """``captioner caption photos --output captions.jsonl ARGUMENTS``; returns its exit status."""

    def run(*arguments: object) -> int:
        given = ["caption", photos, "--checkpoint", tiny.model_file(), "--output", output, *arguments]
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


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "txt"])
@pytest.mark.parametrize("given", [[], ["--resume"]])
def test_killed_command_goes_on(
    caption: Command, output: Path, monkeypatch: pytest.MonkeyPatch, ending: str, given: list[str]
) -> None:
    chosen = output.with_suffix(f".{ending}")
    caption("--output", chosen)
    whole = chosen.read_bytes()
    chosen.unlink()
    real, calls = Journal.write, iter(range(6))

    def write(self: Journal, record: Any) -> None:
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", write)
        assert ended(forked(lambda: caption("--output", chosen, *given))) == -signal.SIGKILL
    assert not chosen.exists()
    assert caption("--output", chosen, "--resume") == 1
    assert chosen.read_bytes() == whole
    assert [path.name for path in chosen.parent.iterdir()].count(f"{chosen.name}.part") == 0


def test_journal_cut_anywhere_is_continued(caption: Command, output: Path, part: Path) -> None:
    caption()
    whole = output.read_bytes()
    output.unlink()
    end = whole.index(b"\n") + 1
    for length in (0, 1, 9, 15, end - 1, end, end + 12):
        part.write_bytes(whole[:length])
        assert caption("--resume") == 1
        assert output.read_bytes() == whole and not part.exists()
        output.unlink()


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "txt"])
def test_photos_are_added_to_a_complete_file(
    caption: Command, photos: Path, output: Path, ending: str
) -> None:
    chosen = output.with_suffix(f".{ending}")
    caption("--output", chosen)
    whole = chosen.read_bytes()
    held = (photos / "h.png").read_bytes()
    (photos / "h.png").unlink()
    caption("--output", chosen, "--overwrite")
    assert chosen.read_bytes() != whole
    (photos / "h.png").write_bytes(held)
    caption("--output", chosen, "--resume")
    assert chosen.read_bytes() == whole


def test_errors_are_tried_again_when_asked(caption: Command, photos: Path, output: Path) -> None:
    assert caption() == 1
    (photos / "c.png").write_bytes((photos / "a.png").read_bytes())
    assert caption("--resume") == 1
    assert caption("--resume", "--retry-errors") == 0
    names = [Path(json.loads(line)["path"]).name for line in output.read_text().splitlines()]
    assert names == ["a.png", "b.png", "d.png", "f.png", "h.png", "c.png"]


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


def test_output_that_exists_is_replaced_only_when_asked(
    caption: Command, output: Path, part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caption()
    whole = output.read_bytes()
    capsys.readouterr()
    assert caption() == 2
    assert "--resume continues it, --overwrite replaces it" in capsys.readouterr().err
    assert output.read_bytes() == whole
    output.write_text("else")
    caption("--overwrite")
    assert output.read_bytes() == whole
    part.write_bytes(whole[:200])
    assert caption("--overwrite") == 1 and not part.exists()
    part.write_text("the user's")
    assert caption("--overwrite") == 2 and part.read_text() == "the user's"


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


def test_two_commands_cannot_go_on_with_one_file(
    caption: Command, part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part.touch()
    with owned(part):
        assert caption("--resume") == 2
    assert "another process" in capsys.readouterr().err


def test_full_disk_is_told_and_can_be_gone_on_from(
    caption: Command, output: Path, part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    caption()
    whole = output.read_bytes()
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))
    try:
        assert caption("--overwrite") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert error == f"captioner: --output: cannot write {part} (File too large)\n"
    assert output.read_bytes() == whole
    output.unlink()
    caption("--resume")
    assert output.read_bytes() == whole
