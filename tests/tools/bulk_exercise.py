"""Shards captioned while processes are killed: every image has its one record, in order, whatever died.

    python tests/tools/bulk_exercise.py --images 20000 --tars 40             # one process after another
    python tests/tools/bulk_exercise.py --images 20000 --tars 40 --ray       # two actors of a local Ray

One JPEG in a hundred is broken, and one kills the process that decodes it. Prints what was done, how long it
took, and exits with 1 if a record is lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where support/ is

import numpy as np
from PIL import Image
from support.shards import KILLS, STUB, make_tar, seen

from captioner.bulk.caption import Settings
from captioner.bulk.job import Job, remaining
from captioner.bulk.manifest import claim, digests, manifest_of
from captioner.bulk.merge import merge
from captioner.bulk.on_ray import run_on_ray
from captioner.bulk.schedule import run
from captioner.bulk.shards import plan
from captioner.bulk.worker import serve
from captioner.checkpoint.pretrained import NAME
from captioner.data.photos.find import Finder

OWN = (sys.executable, __file__, "--worker")
BROKEN = 100  # every hundredth
PATIENCE = 20.0  # seconds until a stopped actor is killed


def main() -> int:
    """Run the exercise, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--tars", type=int, default=10)
    parser.add_argument("--checkpoint", default=NAME, help="the model (default: %(default)s)")
    parser.add_argument("--stub", action="store_true", help="instead of a model, to try the machinery alone")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(poisoned)
        return 0
    if options.drive is not None:
        return drive(options.drive, options)
    with TemporaryDirectory() as name:
        return exercise(Path(name), options)


def poisoned(settings: Settings) -> Any:
    """A predictor that one image kills."""
    from captioner.predictor import load

    predictor = load(settings.checkpoint, settings.device)
    views = predictor._views

    def watched(source: Any, shown: bool) -> Any:
        source = source() if callable(source) else source
        if isinstance(source, io.BytesIO) and KILLS in source.getvalue():
            os.kill(os.getpid(), signal.SIGKILL)
        return views(source, shown)

    predictor._views = watched  # type: ignore[method-assign]
    return predictor


def make(folder: Path, images: int, tars: int) -> int:
    """The tars, and beside them ``photos/`` with all but the killer; returns which that is."""
    random, killer = np.random.default_rng(0), images * 2 // 3 // BROKEN * BROKEN
    (folder / "photos").mkdir()
    for tar in range(tars):
        files = []
        for number in range(tar * images // tars, (tar + 1) * images // tars):
            stream = io.BytesIO()
            pixels = random.integers(0, 256, (8, 10, 3), dtype=np.uint8)
            comment = KILLS if number == killer else b""
            Image.fromarray(pixels).resize((320, 256)).save(stream, "JPEG", comment=comment)
            data = stream.getvalue()
            data = data[: len(data) // 2] if is_broken(number) else data
            files.append((f"{number:06d}.jpg", data))
            if number != killer:
                (folder / "photos" / f"{number:06d}.jpg").write_bytes(data)
        make_tar(folder / f"{tar:05d}.tar", files)
    return killer


def is_broken(number: int) -> bool:
    return number % BROKEN == BROKEN - 1


def job_in(folder: Path, options: argparse.Namespace) -> Job:
    settings = Settings([options.checkpoint], digests([options.checkpoint]), "cpu", workers=1)
    shards, listing = plan([f"{folder}/*.tar"], 4000, folder / "out", Finder())
    manifest = manifest_of(settings, "jsonl", shards)
    claim(folder / "out", manifest, listing)
    return Job(folder / "out", manifest, settings, command=STUB if options.stub else OWN)


def drive(folder: Path, options: argparse.Namespace) -> int:
    """Do what is left, as the command does."""
    job = job_in(folder, options)
    if left := remaining(job):
        list(run_on_ray(job, left, "local", 2, PATIENCE) if options.ray else run(job, left))
    return 0


def undisturbed(folder: Path, options: argparse.Namespace) -> dict[str, str | None]:
    """What the plain command says of each photo, by its key, and how long it and one on the tars take."""
    if options.stub:
        photos = {path.stem: path.read_bytes() for path in (folder / "photos").iterdir()}
        return {key: None if is_broken(int(key)) else seen(data) for key, data in photos.items()}
    command = [sys.executable, "-m", "captioner", "caption", "--device", "cpu", "--quiet", "--workers", "1"]
    command += ["--checkpoint", options.checkpoint]
    tars = f"{folder}/{{00000..{options.tars - 1:05d}}}.tar"
    for given, output in ((str(folder / "photos"), "plain.jsonl"), (tars, "calm")):
        typed = [*command, given, "--output", str(folder / output)]
        seconds = timed(f"captioner caption {given}", lambda typed=typed: subprocess.run(typed))
        print(f"  {options.images / seconds:,.1f} images a second, start-up included", flush=True)
    records = map(json.loads, (folder / "plain.jsonl").read_text().splitlines())
    return {Path(record["path"]).stem: record.get("caption") for record in records}


def exercise(folder: Path, options: argparse.Namespace) -> int:
    """Caption under fire, and print what came of it."""
    images, tars, ray = options.images, options.tars, options.ray
    killer = make(folder, images, tars)
    print(f"{images:,} images in {tars} tars, one in {BROKEN} broken, image {killer} kills", flush=True)
    plain = undisturbed(folder, options)

    def driver(disturb: Callable[[subprocess.Popen[bytes]], None] = lambda process: None) -> None:
        arguments = [sys.executable, __file__, "--drive", str(folder)]
        arguments += ["--checkpoint", options.checkpoint, *["--stub"] * options.stub]
        arguments += ["--ray"] * ray
        with (folder / "complaints").open("w+") as complaints:
            process = subprocess.Popen(arguments, stderr=complaints)
            disturb(process)
            if process.wait() not in (0, -signal.SIGKILL):
                complaints.seek(0)
                print(f"  the driver ended with {process.returncode}: {complaints.read()[-2000:]}")

    def killed_with(name: str, number: int) -> Callable[[subprocess.Popen[bytes]], None]:
        def disturb(process: subprocess.Popen[bytes]) -> None:
            before = done(folder)
            while done(folder) <= before and process.poll() is None:
                time.sleep(0.2)
            pids = [process.pid] if name == "driver" else processes(name)
            for pid in pids[:1] if process.poll() is None else ():
                os.kill(pid, number)
            print(f"  signal {number} to {name} {pids[:1]}, {done(folder)} of {tars} shards done", flush=True)

        return disturb

    timed("driver killed after a shard", lambda: driver(killed_with("driver", signal.SIGKILL)))
    if ray:
        timed("actor killed, then another stopped", lambda: driver(both(killed_with)))
    else:
        timed(
            "child killed after a shard",
            lambda: driver(killed_with(STUB[1] if options.stub else "--worker", signal.SIGKILL)),
        )
    timed("the rest", driver)
    timed("finished job again", driver)
    count = merge(folder / "out", folder / "all.jsonl")
    problems = check(folder, images, killer, plain)
    print(f"{count:,} records after merge", *(problems or ["each image has its one, in order"]), sep="\n")
    return 1 if problems else 0


def both(killed_with: Callable[[str, int], Callable[[Any], None]]) -> Callable[[Any], None]:
    def disturb(process: Any) -> None:
        killed_with("ray::MapWorker", signal.SIGKILL)(process)
        killed_with("ray::MapWorker", signal.SIGSTOP)(process)

    return disturb


def timed(what: str, do: Callable[[], Any]) -> float:
    start, before = time.perf_counter(), sum(os.times()[2:4])  # of children that ended
    do()
    seconds = time.perf_counter() - start
    used = sum(os.times()[2:4]) - before
    print(f"{what}: {seconds:.0f} s, {used:.0f} s of CPU", flush=True)
    return seconds


def done(folder: Path) -> int:
    return len(list((folder / "out").glob("*.jsonl")))


def processes(name: str) -> list[int]:
    """Those whose command line holds a name."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and name in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def check(folder: Path, images: int, killer: int, plain: dict[str, str | None]) -> list[str]:
    """What is wrong with the merged records, held against what the plain command says."""
    records = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    problems = []
    if [record["key"] for record in records] != [f"{number:06d}" for number in range(images)]:
        problems.append(f"{len(records)} records for {images} images, or in another order")
    for number, record in enumerate(records):
        if record.get("caption") != plain.get(record["key"]):
            problems.append(f"{record['key']}: {record}, not {plain.get(record['key'])!r}")
        if ("error" in record) != (number == killer or is_broken(number)):
            problems.append(f"{record['key']}: {record}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
