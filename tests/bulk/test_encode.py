"""``captioner encode``: any division of the shards fills the cache that training finds."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import tiny
from support.exits import exits

from captioner.bulk.child import PYTHON
from captioner.bulk.encode import EncodeWorker, Settings, builds_of, shards_of
from captioner.bulk.encode_job import EncodeJob
from captioner.bulk.isolation import Isolated
from captioner.bulk.schedule import run
from captioner.config.data import TableConfig
from captioner.config.model import EncoderConfig
from captioner.config.training import TrainingConfig
from captioner.errors import CaptionerError
from captioner.features import build, manifest
from captioner.features.cache import completed

Command = Callable[..., int]
# a frozen encoder, of 8 stages' drawn weights; 16 photos, as many mirrored, 16 mosaics, and 8 of val
FROZEN = [*tiny.OVERRIDES, "encoder.fine_tune=stage3", "training.flip=0.5", "training.mosaics=0.2"]
SHARDS = 4 + 4 + 4 + 2


class InProcess(Isolated):
    """Encodes without a child."""

    def records(
        self,
        shard: Any,
        positions: Sequence[int] | None = None,
        on_record: Callable[[], None] = lambda: None,
    ) -> list[dict[str, Any]]:
        if not hasattr(self, "worker"):
            self.worker = EncodeWorker(_plain(self.settings))
        return list(self.worker.records(json.loads(json.dumps(vars(shard))), positions, lambda n: None))


def _plain(settings: Settings) -> dict[str, Any]:
    """As they come to another process."""
    groups = {name: vars(getattr(settings, name)) for name in ("encoder", "data", "training")}
    return json.loads(json.dumps(vars(settings) | groups))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``captioner`` in its own folder, encoding in this process in shards of four images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(manifest, "ROWS", 4)
    monkeypatch.setattr(EncodeJob, "isolated", lambda job, patience=None: InProcess(job.settings, ()))
    return exits(capsys)


def contents(folder: str) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def forbid_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "encode", None)


# --- the command ----------------------------------------------------------------------------------


def test_training_finds_what_was_encoded_for_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for share, told in (("1/2", "7 are missing that other commands encode"), ("0/2", "nothing is missing")):
        assert command("encode", *FROZEN, "--output", "cache", "--shards", share) == 0
        assert told in command.out  # type: ignore[attr-defined]
    forbid_encoding(monkeypatch)
    before = contents("cache")
    assert command("train", *FROZEN, "run.cache=cache", "output=run") == 0
    assert command("encode", *FROZEN, "run.cache=cache") == 0
    assert "14 of 14 shards were there, nothing is missing" in command.out  # type: ignore[attr-defined]
    assert contents("cache") == before


@pytest.mark.slow
def test_evaluation_and_adaptation_find_what_was_encoded_for_them(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ["data.train=16", "data.val=8", "data.test=8", "data.image_size=32", "run.cache=cache"]
    model = tiny.model_file()
    assert command("encode", f"checkpoint={model}", *few, "splits=[test]") == 0
    assert command("encode", f"init={model}", *few, "encoder.fine_tune=false") == 0
    forbid_encoding(monkeypatch)
    assert command("evaluate", f"checkpoint={model}", *few, "run.device=cpu") == 0
    short = ["training.epochs=1", "run.device=cpu", "run.compile=false", "encoder.fine_tune=false"]
    assert command("train", f"init={model}", *few, *short, "output=run") == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shards", "3/3"], "--shards: '3/3' is not I/N"),
        (["--actors", "2"], "--actors: needs --ray"),
        (["--ray", "slurm"], "encode: argument --ray: invalid choice: 'slurm'"),
        (["resume=run"], "resume: run is resumed by train"),
        (["checkpoint=a", "init=b"], "checkpoint: its encoder cannot be meant together with that of init"),
    ],
)
def test_what_cannot_be_meant_is_one_line(command: Command, arguments: list[str], told: str) -> None:
    if arguments[0].startswith("checkpoint"):
        arguments = [f"{a.partition('=')[0]}={tiny.model_file()}" for a in arguments]
    assert command("encode", *arguments) == 2
    assert told in command.err and len(command.err.splitlines()) == 1  # type: ignore[attr-defined]
    assert os.listdir() == []


# --- photos that are broken, or kill; processes that die -----------------------------------------


def settings_of(folder: Path, photos: int = 8) -> Settings:
    """A table of photos, encoded as pixels."""
    lines = []
    for number in range(photos):
        Image.new("RGB", (32, 32), (number, 9, 9)).save(folder / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "caption": ["a photo"]}))
    (folder / "train.jsonl").write_text("\n".join(lines))
    encoder = EncoderConfig("small", None, 32, "crop", [0.5] * 3, [0.25] * 3, True)
    data = TableConfig(root=str(folder), train="train.jsonl")
    made = Settings(encoder, data, TrainingConfig(), ["train"], None, str(folder / "out"), "cpu", 0)
    return replace(made, keys=[one.key for one in builds_of(made)])


def job_of(settings: Settings, **options: Any) -> EncodeJob:
    return EncodeJob(settings, shards_of(builds_of(settings)), **options)


def test_shares_in_any_order_equal_the_plain_build_bit_for_bit(command: Command) -> None:
    run_of = tiny.config(Path(), flip=0.5, mosaics=0.2)
    run_of.encoder.fine_tune = "stage3"
    for folder in ("plain", "shares", "other"):
        size = 40 if folder == "other" else 32
        encoder = replace(run_of.encoder, image_size=size)
        made = Settings(encoder, run_of.data, run_of.training, ["train", "val"], None, folder, "cpu", 0)
        builds = builds_of(made)
        if folder == "shares":
            job = job_of(replace(made, keys=[one.key for one in builds]))
            assert len(job.shards) == SHARDS
            for share in (1, 2, 0):
                assert not [name for name in contents(folder) if name.endswith("json")]
                done = list(run(job, range(share, SHARDS, 3)))
                assert [one.images for one in done] == [4] * len(done) == [4] * len(range(share, SHARDS, 3))
            assert list(run(job, range(SHARDS))) == []
        for one in builds:
            completed(one, progress=False)
    assert contents("shares") == contents("plain")
    assert len(contents("other")) == len(contents("plain"))
    assert not set(contents("other")) & set(contents("plain"))


def test_full_disk_is_told_and_costs_the_shard_under_way(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, synced, calls = job_of(settings_of(tmp_path)), os.fsync, iter(range(100))

    def full(handle: int) -> None:
        if next(calls) == 2:  # a shard and its folder, and then a shard
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(handle)

    with monkeypatch.context() as patch:
        patch.setattr("captioner.system.atomic_files.os.fsync", full)
        with pytest.raises(
            CaptionerError, match=r"^run\.cache: cannot write .* \(No space left on device\)$"
        ):
            list(run(job, [0, 1]))
    assert [path.name for path in (tmp_path / "out").glob("*/*")] == ["00000-of-00002.npy"]
    assert [done.images for done in run(job, [0, 1])] == [4]


def test_broken_photo_is_named_and_the_shards_before_it_stay(command: Command, tmp_path: Path) -> None:
    job = job_of(settings_of(tmp_path))
    (tmp_path / "5.png").write_bytes(b"no photo")
    job = job_of(replace(job.settings, keys=[one.key for one in builds_of(job.settings)]))
    with pytest.raises(CaptionerError, match=r"5\.png: "):
        list(run(job, [0, 1]))
    assert [path.name for path in (tmp_path / "out").glob("*/*")] == ["00000-of-00002.npy"]


def test_machine_with_other_photos_is_refused(command: Command, tmp_path: Path) -> None:
    job = job_of(settings_of(tmp_path))
    Image.new("RGB", (40, 40)).save(tmp_path / "5.png")
    with pytest.raises(CaptionerError, match="this machine has another model, other data, or photos"):
        list(run(job, [0]))


KILLING = """
import os, sys
from captioner.bulk import encode
from captioner.bulk.process import answer
from captioner.features import manifest
from captioner.features import encode as passes
manifest.ROWS = 4
def pixels_of(preprocess, record, of=passes.pixels_of):
    if str(record.source).endswith(sys.argv[1]):
        os._exit(9)
    return of(preprocess, record)
passes.pixels_of = pixels_of
open(sys.argv[2], "a").write("started ")
answer(encode.EncodeWorker)
"""


@pytest.mark.slow
def test_photo_that_kills_its_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "ROWS", 4)
    job = job_of(
        settings_of(tmp_path), command=(sys.executable, "-c", KILLING, "5.png", str(tmp_path / "starts"))
    )
    with pytest.raises(CaptionerError, match=r"5\.png: its process died 2 times, with status 9"):
        list(run(job, [0, 1]))
    assert [path.name for path in (tmp_path / "out").glob("*/0*-of-*")] == ["00000-of-00002.npy"]
    assert (tmp_path / "starts").read_text().split() == ["started"] * 3  # once, and after each death


@pytest.mark.slow
def test_killed_encoding_goes_on(tmp_path: Path) -> None:
    few = [*FROZEN, "data.train=2500", "--output", str(tmp_path / "out")]
    typed = [*PYTHON, "captioner", "encode", *few]
    killed = subprocess.Popen(typed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list((tmp_path / "out").glob("*/*.npy")):
        assert time.monotonic() < end and killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*.npy")}
    assert len(there) < 7
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    assert f"{len(there)} of 7 shards were there, nothing is missing" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert not list((tmp_path / "out").glob("*/.*"))
    plain = [*PYTHON, "captioner", "encode", *few[:-1], str(tmp_path / "plain")]
    subprocess.run(plain, check=True, capture_output=True)
    assert contents(str(tmp_path / "out")) == contents(str(tmp_path / "plain"))


@pytest.mark.ray
def test_ray_fills_the_same_cache(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is missing: bash scripts/test.sh --ray installs it")
    few = [*FROZEN, "data.train=2500"]
    for folder, more in (("ray", ["--ray", "local", "--actors", "2"]), ("plain", [])):
        typed = [*PYTHON, "captioner", "encode", *few, "--output", str(tmp_path / folder), *more]
        done = subprocess.run(typed, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "nothing is missing" in done.stdout
    assert contents(str(tmp_path / "ray")) == contents(str(tmp_path / "plain"))
