"""A folder in which the commands of the docs are typed, at a size that a test can afford."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.group import free_port
from support.shrunk import shrink

from captioner.checkpoint.pretrained import model_path

APPENDED = {  # to a command, by what it contains
    "benchmarks/decoder.py": ["--runs", "1", "--beam-images", "1", "--vocabulary", "50", "--steps", "2"],
    "benchmarks/files.py": ["--count", "2", "--runs", "1"],
    "benchmarks/precision.py": shrink(["train", "experiment=flickr8k_mobilenet", "training.batch_size=1"])[
        2:
    ],
    "measure_confidence.py": ["--count", "4"],
    "scripts/compare_cells.py": shrink(["compare"])[1:],
    "bulk_exercise.py": ["--patience", "5"],
    "http.server": ["PORT"],
    "captioner serve": ["--port", "PORT"],
}
INSTEAD = {  # other numbers, and what the reader is to fill in
    "{00000..09999}": "{00000..00003}",
    "--array=0-63": "--array=0-1",
    "sbatch ": "sbatch --wait ",
    "--images 20000 --tars 40": "--images 500 --tars 20",
    "--images 1000000": "--images 200",
    "--images 200000": "--images 200",
    "--images 32 --locations 100": "--images 1 --locations 4",
    "--times 30": "--times 2",
    "--actors 64": "--actors 2",
    "cuda:\\$LOCAL_RANK": "cpu",
    "train ... ": "train experiment=flickr8k_best data.root=DIR ",
    "caption ... ": "caption photos ",
    "weights=FILE": "weights=mobilenet_v2.safetensors",
    "weights=P0/model.safetensors": f"weights={model_path('pretrained')}",  # of the same encoder
    "weights=mean.safetensors": f"weights={model_path('pretrained')}",
    "FLICKR8K FOLDER": "DIR made",
    "COMMAND --help": "train --help",
    "captioner attend --format html": "captioner attend photo.jpg --output looked --format html",
    "captioner caption --precision fp32": "captioner caption photo.jpg --precision fp32",
    "node0:": "127.0.0.1:",
    "29500": "PORT",
    "http://127.0.0.1:8000": "http://127.0.0.1:PORT",
    "/shared": "HERE/shared",
    "> docs/": "> ",
    "page_pictures.py docs": "page_pictures.py .",
}
STARTS = re.compile(r"(?:init|resume|checkpoint)=([\w./-]+)|against=([A-Z]+)|--checkpoint ([\w./-]+)")
LISTED = re.compile(r"captioner (?:average|export) ((?:\w\S* )+)")
WRITES = re.compile(r" (?:output=|--output )([\w./-]+)")
OWN_PROCESS = ("hydra/launcher", "s3://", "--ray")  # what is left behind by these would disturb other tests
SAYS_USELESS = 3  # check, of so few photos


class Folder:
    """``tiny`` in it is a run, and ``hard`` one with hard attention; what a command starts from is a copy.

    Args:
        status: runs captioner in this process, to its exit status.
    """

    def __init__(self, path: Path, status: Callable[..., int]) -> None:
        self.path, self.status, self.port = path, status, str(free_port())

    def without(self, program: str) -> None:
        """One that is found, and fails."""
        script = self.path / "bin" / program
        script.write_text("#!/bin/sh\nexit 1\n")
        script.chmod(0o755)

    def small(self, command: str) -> str:
        for part, more in APPENDED.items():
            if part in command:
                command = " ".join([command, *more])
        for written, instead in INSTEAD.items():
            command = command.replace(written, instead)
        return command.replace("PORT", self.port).replace("HERE", str(self.path))

    def type(self, written: str) -> None:
        """Run a command, and expect that it ends well."""
        command = self.small(written)
        self.prepare(command)
        if command.startswith("captioner ") and not any(part in command for part in OWN_PROCESS):
            words = shrink(self.words(command)[1:])
            may = (0, SAYS_USELESS) if words[0] == "check" else (0,)
            assert self.status(*words) in may, f"{written}: {self.status.err}"  # type: ignore[attr-defined]
        else:
            ended_well(self.start(command))

    def words(self, command: str) -> list[str]:
        """A command's words, as bash reads them."""
        told = f"captioner() {{ printf '%s\\0' captioner \"$@\"; }}; {command}"
        return subprocess.check_output(["bash", "-c", told], text=True).split("\0")[:-1]

    def start(self, command: str, **environment: str) -> subprocess.Popen[str]:
        own = {**os.environ, "PORT": self.port, **environment}
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(["bash", "-c", command], env=own, text=True, **both)  # type: ignore[call-overload]

    def prepare(self, command: str) -> None:
        """What a command starts from, and room for what it writes."""
        names = [name for of in STARTS.findall(command) for name in of if name not in ("", "pretrained")]
        for listed in LISTED.findall(command):
            names += listed.split()
        begun = self.path / ("hard" if "inference=" in command else "tiny")
        for place in (self.path / name for name in names):
            if begun.name == "hard" and place.name == "RUN":
                remove(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.suffix == ".safetensors" and not place.exists():
                shutil.copy(begun / "model.safetensors", place)
            elif not place.exists():
                run = self.path / "RUN"  # which those of self-critical training begin with
                shutil.copytree(run if place.name.startswith("SC") and run.exists() else begun, place)
        if "--resume" not in command:
            for place in (self.path / name for name in WRITES.findall(command)):
                remove(place)
                for later in self.path.glob("SC*") if place.name == "RUN" else ():
                    remove(later)

    @contextmanager
    def serving(self, written: str, page: str) -> Iterator[None]:
        """A server, asked for one of its pages, until it is terminated."""
        process = self.start(f"exec {self.small(written)} >/dev/null")
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=10).read()
                    break
                except OSError:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def remove(place: Path) -> None:
    if place.is_dir() and place.name != "cache":
        shutil.rmtree(place)
    elif place.is_file():
        place.unlink()


def ended_well(*processes: subprocess.Popen[str]) -> None:
    """Wait for all of them."""
    for process in processes:
        said, _ = process.communicate(timeout=1200)
        assert process.returncode == 0, f"{process.args}: {said}"
