"""One record per image, in order, whatever dies; a shard's output is whole or not there."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.exits import exits
from support.shards import (
    HANGS,
    KILLS,
    KILLS_LATER,
    SETTINGS,
    STUB,
    StubPredictor,
    jpeg,
    make_tars,
    seen,
)

from captioner.bulk import isolation
from captioner.bulk.caption import caption_shard
from captioner.bulk.isolation import Isolated
from captioner.bulk.job import Job
from captioner.bulk.shards import Shard
from captioner.errors import CaptionerError

Command = Callable[..., int]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``captioner`` in its own folder, with a stub in this process; ``command.err`` is what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Job, "isolated", lambda job, patience=None: InProcess(job.settings, STUB))
    return exits(capsys)


class InProcess(Isolated):
    """Captions without a child."""

    def records(
        self,
        shard: Shard,
        positions: Sequence[int] | None = None,
        on_record: Callable[[], None] = lambda: None,
    ) -> list[dict]:
        records = list(caption_shard(shard, StubPredictor(), self.settings, positions))
        for _ in records:
            on_record()
        return records


TARS = ["caption", "{00000..00002}.tar", "--output", "out"]


def merged(command: Command, name: str = "all.jsonl") -> list[dict]:
    assert command("merge", "out", "--output", name) == 0
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def wanted(images: dict[str, bytes], broken: set[str] = frozenset()) -> list[tuple[str, str | None]]:
    return [(key, None if key in broken else seen(data)) for key, data in images.items()]


def answers(records: list[dict]) -> list[tuple[str, str | None]]:
    return [(record["key"], record.get("caption")) for record in records]


def times(folder: str = "out") -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).iterdir() if path.is_file()}


# --- the command ---------------------------------------------------------------------------------------


def test_shards_are_captioned_once_and_merged_in_order(command: Command) -> None:
    images = make_tars(Path(), n000006=jpeg(6)[:300])
    assert command(*TARS) == 1
    assert "11 captioned, 1 could not be read" in command.err  # type: ignore[attr-defined]
    assert sorted(times()) == ["00000.jsonl", "00001.jsonl", "00002.jsonl", "manifest.json"]
    assert answers(merged(command)) == wanted(images, {"n000006"})
    before = times()
    Path("out/00001.jsonl").unlink()
    assert command("merge", "out", "--output", "again.jsonl") == 2
    assert "lacks 1 of 3 shards (00001.jsonl)" in command.err  # type: ignore[attr-defined]
    assert command(*TARS) == 1
    after = times()
    assert {name for name in before if before[name] != after[name]} == {"00001.jsonl"}
    assert answers(merged(command, "again.jsonl")) == wanted(images, {"n000006"})


def test_finished_job_does_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tars(Path(), tars=2, images=1)
    assert command("caption", "*.tar", "--output", "out") == 0
    before = times()
    monkeypatch.setattr(InProcess, "records", None)
    assert command("caption", "*.tar", "--output", "out") == 0
    assert "2 of 2 shards were done before" in command.err  # type: ignore[attr-defined]
    assert times() == before


def test_errors_are_retried_alone(command: Command) -> None:
    images = make_tars(Path(), n000006=b"")
    assert command(*TARS) == 1
    before = times()
    images = make_tars(Path())
    assert command(*TARS, "--retry-errors") == 0
    assert "1 captioned" in command.err  # type: ignore[attr-defined]
    assert {name for name, at in times().items() if before[name] != at} == {"00001.jsonl"}
    assert answers(merged(command)) == wanted(images)


def test_tar_that_was_cut_short_is_retried_whole(command: Command) -> None:
    images = make_tars(Path())
    whole = Path("00001.tar").read_bytes()
    Path("00001.tar").write_bytes(whole[:4000])
    assert command(*TARS) == 1
    assert any(record["key"] == "" for record in merged(command, "short.jsonl"))
    Path("00001.tar").write_bytes(whole)
    assert command(*TARS, "--retry-errors") == 0
    assert answers(merged(command)) == wanted(images)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["--beam-size", "5"], "--beam-size: .*manifest.json has 3, not 5"),
        (["--accept-truncated"], "--accept-truncated: .* has False, not True"),
        (["00003.tar"], r"other inputs \(3 shards, not 4\)"),
        (["--checkpoint", "other.safetensors"], "--checkpoint: .* is of another model"),
    ],
)
def test_output_of_something_else_is_refused(command: Command, changed: list[str], told: str) -> None:
    Path("other.safetensors").write_bytes(b"another model")
    make_tars(Path(), images=1)
    assert command(*TARS, "--shards", "2/3") == 0
    before = times()
    assert command(*TARS, *changed) == 2
    assert len(command.err.splitlines()) == 1  # type: ignore[attr-defined]
    assert re.search(told, command.err)  # type: ignore[attr-defined]
    assert times() == before


def test_commands_divide_the_shards(command: Command) -> None:
    images = make_tars(Path(), tars=3, images=2)
    for share, done in (("1/2", {"00001"}), ("0/2", {"00000", "00001", "00002"})):
        assert command(*TARS, "--shards", share) == 0
        assert {name.removesuffix(".jsonl") for name in times()} - {"manifest.json"} == done
    assert answers(merged(command)) == wanted(images)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x.tar"], "--output: shards need a folder"),
        (["x.tar", "--output", "o.jsonl"], "o.jsonl is a file by its name; shards need a folder"),
        (["x.tar", "--output", "o", "--shards", "4/4"], "'4/4' is not I/N with I from 0 to N-1"),
        (["x.tar", "--output", "o", "--overwrite"], "--overwrite: is for photos"),
        (["x.tar", "--output", "o", "--actors", "2"], "--actors: needs --ray"),
        (["x.tar", "--output", "o", "--format", "csv"], "'csv' is not one of jsonl, parquet"),
        (["x.tar", "--output", "."], "holds other files (theirs.txt)"),
        (["x.jpg", "--format", "parquet"], "parquet is for shards"),
    ],
)
def test_what_does_not_go_together_is_refused(command: Command, arguments: list[str], told: str) -> None:
    Path("theirs.txt").touch()
    assert command("caption", *arguments) == 2
    assert told in command.err  # type: ignore[attr-defined]
    assert sorted(os.listdir()) == ["theirs.txt"] or arguments[0] == "x.tar"


def test_merge_replaces_nothing_unasked_and_no_shard(command: Command) -> None:
    make_tars(Path(), images=1)
    assert command(*TARS) == 0
    before = Path("out/00000.jsonl").read_bytes()
    assert command("merge", "out", "--output", "out/00000.jsonl", "--overwrite") == 2
    assert Path("out/00000.jsonl").read_bytes() == before
    Path("all.jsonl").write_text("the user's")
    assert command("merge", "out", "--output", "all.jsonl") == 2
    assert Path("all.jsonl").read_text() == "the user's"


def test_output_with_too_few_records_is_told(command: Command) -> None:
    for number in range(3):
        Path(f"{number}.jpg").write_bytes(jpeg(number))
    assert command("caption", "0.jpg", "1.jpg", "2.jpg", "--output", "out", "--shards", "0/1") == 0
    lines = Path("out/found-00000.jsonl").read_text().splitlines(keepends=True)
    Path("out/found-00000.jsonl").write_text("".join(lines[:2]))
    assert command("merge", "out", "--output", "all.jsonl") == 2
    assert "2 records for 3 images" in command.err  # type: ignore[attr-defined]
    assert not Path("all.jsonl").exists()


def test_output_of_a_tar_that_lost_records_is_told(command: Command) -> None:
    make_tars(Path(), n000006=b"")
    assert command(*TARS, "--shards", "0/2") == 0
    assert "in all 2 of 3 shards with 8 records" in command.err  # type: ignore[attr-defined]
    assert command(*TARS) == 1
    whole = "in all 3 of 3 shards with 12 records, 1 of them errors"
    assert whole in command.err  # type: ignore[attr-defined]
    output = Path("out/00001.jsonl")
    lines = output.read_text().splitlines(keepends=True)
    output.write_text("".join(lines[:3]))
    assert command("merge", "out", "--output", "all.jsonl") == 2
    assert "00001.jsonl has 3 records for 4 images" in command.err  # type: ignore[attr-defined]
    output.unlink()
    make_tars(Path())
    assert command(*TARS) == 0
    assert "in all 3 of 3 shards with 12 records" in command.err  # type: ignore[attr-defined]
    assert "errors" not in command.err  # type: ignore[attr-defined]
    assert len(merged(command)) == 12


def test_full_disk_is_told_and_costs_the_shard_under_way(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_tars(Path())
    synced = os.fsync
    calls = iter(range(100))

    def full(handle: int) -> None:
        if next(calls) == 4:  # the manifest and its folder, a shard and its folder, and then a shard
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(handle)

    with monkeypatch.context() as patch:
        patch.setattr("captioner.system.atomic_files.os.fsync", full)
        assert command(*TARS) == 2
    told = "captioner: --output: cannot write .*/out/00001.jsonl .No space left on device."
    assert re.fullmatch(told, command.err.strip())  # type: ignore[attr-defined]
    assert set(times()) == {"00000.jsonl", "manifest.json"}
    assert command(*TARS) == 0
    assert answers(merged(command)) == wanted(images)


def test_what_a_killed_writer_left_is_removed_once_it_is_old(command: Command) -> None:
    make_tars(Path(), tars=2, images=1)
    Path("out").mkdir()
    old, new = Path("out/.00000.jsonl.abc.part"), Path("out/.00001.jsonl.abc.part")
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    assert command("caption", "*.tar", "--output", "out") == 0
    assert not old.exists() and new.exists()


# --- what dies -----------------------------------------------------------------------------------------


class Deaths(Isolated):
    """Counts them."""

    count = 0

    def _ends(self, *arguments: Any) -> bool:
        ended = super()._ends(*arguments)
        self.count += not ended
        return ended


@pytest.mark.parametrize(
    ("killers", "comment", "deaths"),
    [
        ({50}, KILLS, 2),
        pytest.param({0, 1, 99}, KILLS, 6, marks=pytest.mark.slow),
        pytest.param({0, 3}, KILLS_LATER, None, marks=pytest.mark.slow),
    ],
)
def test_image_that_kills_its_process_has_an_error(
    tmp_path: Path, killers: set[int], comment: bytes, deaths: int | None
) -> None:
    special = {f"n{number:06d}": jpeg(number, comment) for number in killers}
    images = make_tars(tmp_path, tars=1, images=4 if deaths is None else 100, **special)
    with Deaths(SETTINGS, STUB) as isolated:
        records = isolated.records(Shard("x", "tar", str(tmp_path / "00000.tar")))
    assert answers(records) == wanted(images, set(special))
    assert deaths in (None, isolated.count)
    errors = [record["error"] for record in records if "error" in record]
    assert all("its process died 2 times, with status 9" in error for error in errors)


class Shrinks(Isolated):
    """Of a tar that has fewer images once it was listed."""

    def _names(self, shard: Shard) -> list[list[str]]:  # type: ignore[override]
        names = super()._names(shard)
        make_tars(Path(shard.place).parent, tars=1, images=2, n000001=jpeg(1, KILLS))
        return names


@pytest.mark.slow
def test_image_that_is_gone_when_its_shard_is_read_again_has_an_error(tmp_path: Path) -> None:
    images = make_tars(tmp_path, tars=1, n000001=jpeg(1, KILLS))
    with Shrinks(SETTINGS, STUB) as isolated:
        records = isolated.records(Shard("x", "tar", str(tmp_path / "00000.tar")))
    assert answers(records) == wanted(images, {"n000001", "n000002", "n000003"})
    assert [record["error"].count("not found when its shard") for record in records[2:]] == [1, 1]


@pytest.mark.slow
def test_image_that_hangs_has_an_error(tmp_path: Path) -> None:
    images = make_tars(tmp_path, tars=1, images=2, n000001=jpeg(1, HANGS))
    with Isolated(SETTINGS, STUB, stalled=5.0) as isolated:
        records = isolated.records(Shard("x", "tar", str(tmp_path / "00000.tar")))
    assert answers(records) == wanted(images, {"n000001"})
    assert "without an answer in 5 s" in records[1]["error"]


@pytest.mark.slow
def test_process_that_dies_of_every_image_is_not_the_images_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "MOST_IN_A_ROW", 1)
    make_tars(tmp_path, tars=1, images=2, n000000=jpeg(0, KILLS), n000001=jpeg(1, KILLS))
    with Isolated(SETTINGS, STUB) as isolated, pytest.raises(CaptionerError, match="is it the images"):
        isolated.records(Shard("x", "tar", str(tmp_path / "00000.tar")))


def test_process_that_cannot_start_is_told(tmp_path: Path) -> None:
    failing = Isolated(SETTINGS, ("false",))
    with pytest.raises(CaptionerError, match="died 2 times while it loaded the model, with status 1"):
        failing.records(Shard("x", "tar", "x.tar"))


def test_child_ends_with_its_parent(tmp_path: Path) -> None:
    make_tars(tmp_path, tars=1, images=1, n000000=jpeg(0, HANGS))
    child = tmp_path / "child"
    code = f"""
import os, threading
from captioner.bulk.isolation import Isolated
from captioner.bulk.shards import Shard
from support.shards import SETTINGS, STUB
isolated = Isolated(SETTINGS, STUB)
shard = Shard("x", "tar", {str(tmp_path / "00000.tar")!r})
threading.Thread(target=isolated.records, args=(shard,), daemon=True).start()
while isolated.child.process is None: pass
open({str(child)!r}, "w").write(str(isolated.child.process.pid) + "\\n")
threading.Event().wait()
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    until(lambda: child.exists() and child.read_text().endswith("\n"))
    pid = int(child.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not running(pid))


@pytest.mark.slow
def test_parent_that_was_stopped_is_killed(tmp_path: Path) -> None:
    make_tars(tmp_path, tars=1, images=1, n000000=jpeg(0, HANGS))
    code = f"""
from captioner.bulk.isolation import Isolated
from captioner.bulk.shards import Shard
from support.shards import SETTINGS, STUB
isolated = Isolated(SETTINGS, STUB, patience=4.0)
isolated.child.start()
print("ready", flush=True)
isolated.records(Shard("x", "tar", {str(tmp_path / "00000.tar")!r}))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        parent.wait(5)  # its heart beats, though it waits
    parent.send_signal(signal.SIGSTOP)
    assert parent.wait(30) == -signal.SIGKILL


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
