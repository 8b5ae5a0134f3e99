"""The command over many shards, told to go wrong; what was promised is held against its outputs alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.made_shards import NAME, MadeShards
from support.processes import Process, descendants
from support.tiny import model_file

WHILE = 1800.0  # seconds that nothing may take

Command = subprocess.Popen[bytes]
Disturb = Callable[[Command], None]

# Runs in every process: of one image dies what decodes it, and waits are those of --patience.
HOOK = """
import os, sys
if "captioner.bulk.worker" in sys.orig_argv:
    from PIL import Image
    def opened(file, *arguments, opens=Image.open, **options):
        file.seek(0)
        content = file.read()
        if {killer!r} in content:
            os.kill(os.getpid(), 9)
        return opens(file, *arguments, **options)
    Image.open = opened
elif {patience} and "captioner" in sys.orig_argv:
    from captioner.bulk import job, on_ray
    on_ray.run_on_ray.__defaults__ = (None, {patience})
    job.Job.__init__.__defaults__ = (*job.Job.__init__.__defaults__[:-1], {patience})
"""


class Exercise:
    """A folder with shards, commands that caption them, and a table of what was promised and kept."""

    def __init__(self, folder: Path, shards: MadeShards, environment: dict[str, str], ray: str) -> None:
        self.folder, self.shards, self.environment, self.ray = folder, shards, environment, ray
        self.cluster: Command | None = None
        self.broken = 0

    def told(self, what: str, kept: bool, detail: str = "") -> None:
        """A line of the table."""
        self.broken += not kept
        print(f"  {'kept' if kept else 'BROKEN':<8}{what:<72} {detail}", flush=True)

    def caption(
        self, given: str, output: str, *flags: str, disturb: Disturb = lambda command: None
    ) -> tuple[int, list[str], float]:
        """Run the command, and do something to it; returns its status, what it said, and its seconds."""
        command = [sys.executable, "-m", "captioner", "caption", given, "--output", output, *flags]
        command += ["--checkpoint", str(model_file()), "--device", "cpu", "--workers", "1"]
        start = time.perf_counter()
        with (self.folder / "said").open("w+") as said:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stderr=said)
            try:
                disturb(process)
                status = process.wait(WHILE)
            finally:
                process.kill()
            said.seek(0)
            lines = said.read().splitlines()
        return status, lines, time.perf_counter() - start

    def on_ray(self, output: str, *flags: str, disturb: Disturb = lambda command: None) -> tuple:
        return self.caption("*.tar", output, "--ray", self.ray, *flags, disturb=disturb)

    def merged(self, output: str, name: str) -> tuple[int, list[dict]]:
        command = [sys.executable, "-m", "captioner", "merge", output, "--output", name]
        status = subprocess.run(command, cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL)
        path = self.folder / name
        return status.returncode, read(path) if path.exists() else []

    def done(self) -> int:
        return len(list((self.folder / "out").glob("*.jsonl")))

    def started(self, command: Command) -> list[Process]:
        """What a command started, and what captions for it on the cluster."""
        on_cluster = descendants(self.cluster.pid) if self.cluster else []
        return descendants(command.pid) + [p for p in on_cluster if of("actor", p) or of("worker", p)]

    def after_a_shard(self, command: Command) -> None:
        """Wait until another shard is done."""
        before, end = self.done(), time.monotonic() + WHILE
        while self.done() <= before and time.monotonic() < end and command.poll() is None:
            time.sleep(0.05)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def judge(exercise: Exercise, output: str) -> None:
    """Merge, and hold each record against the plain command's."""
    status, records = exercise.merged(output, f"{output}.jsonl")
    shards = exercise.shards
    keys = [record["key"] for record in records]
    good = status == 0 and keys == [NAME.format(number) for number in range(shards.images)]
    exercise.told(f"{output}: an image one record, none doubled, in order", good, f"{len(keys):,} records")
    failed = {int(record["key"]) for record in records if "error" in record}
    exercise.told(
        f"{output}: errors are those of broken images and of the one that kills",
        failed == shards.broken | {shards.killer},
        f"{len(failed):,} errors",
    )
    others = [r["key"] for r in records if r.get("caption") != shards.captions.get(r["key"])]
    exercise.told(f"{output}: captions are the plain command's", not others, str(others[:3] or ""))
    calm = read(exercise.folder / "calm.jsonl")  # its batches are others after a kill, and so its rounding
    far = [r["key"] for r, c in zip(records, calm) if abs(r.get("log_prob", 0) - c.get("log_prob", 0)) > 2e-3]
    seen = len({c.get("log_prob") for c in calm})
    exercise.told(f"{output}: log probabilities are its too", not far, f"{seen:,} of them; {far[:3] or ''}")


def of(name: str, process: Process) -> bool:
    if name == "actor":
        return process.command.startswith("ray::MapWorker(")
    return "captioner.bulk.worker" in process.command
