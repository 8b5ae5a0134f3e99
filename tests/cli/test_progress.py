"""Bars are for people: on a terminal they are drawn, into a pipe goes nothing but sentences."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support import tiny

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
pty = pytest.importorskip("pty")
SCRIPT = """
import json, sys
from captioner.cli.main import main
from captioner.kernels.compiler import use_compiler
use_compiler(False)
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""
ENVIRONMENT = {  # a thread, and no Java, whose start takes seconds
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PATH": str(Path(sys.executable).parent),
}
BARS = ["reading train", "encoding train", "epoch 1/1", "captioning", "reading references", "2/2"]


def commands(folder: Path) -> list[list[str]]:
    """All that have a bar: they check, build a cache, train, caption, measure the maps, and draw."""
    photos, model = folder / "photos", ["--checkpoint", str(tiny.model_file()), "--device", "cpu"]
    tiny.write_photos(photos, "ab")
    shown = [option for option in tiny.OVERRIDES if "progress" not in option]
    few = [option for option in shown if option.startswith(("data", "run", "search"))]
    cache, run = f"run.cache={folder / 'cache'}", folder / "run"
    return [
        ["check", "data=scenes", *[option for option in few if option.startswith("data")]],
        ["train", *shown, "encoder.fine_tune=stage2", cache, f"output={run}"],
        ["evaluate", f"checkpoint={run}", *few, cache, "grounding=true"],
        ["caption", str(photos), *model, "--output", str(folder / "captions.csv")],
        ["attend", str(photos), *model, "--output", str(folder / "figures"), "--quiet"],
    ]


def in_a_pipe(arguments: list[list[str]]) -> str:
    """Standard error of commands, one after the other."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, timeout=300, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def on_a_terminal(arguments: list[list[str]]) -> str:
    """The same on a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # rows and columns
    command = [sys.executable, "-c", SCRIPT, json.dumps(arguments)]
    shown = b""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=ENVIRONMENT) as process:
        os.close(theirs)
        try:
            while block := os.read(ours, 2**16):
                shown += block
        except OSError:  # so ends a terminal
            pass
        os.close(ours)
        assert process.wait(300) == 0, shown.decode()
    return shown.decode()


def test_no_bar_goes_into_a_pipe(tmp_path: Path) -> None:
    told = in_a_pipe(commands(tmp_path))
    assert "\r" not in told and "\x1b" not in told
    assert [bar for bar in (*BARS, "it/s", "%|") if bar in told] == []


def test_terminal_has_bars_unless_they_are_not_wanted(tmp_path: Path) -> None:
    check, train, evaluate, caption, attend = commands(tmp_path)
    told = on_a_terminal([check, train, evaluate, caption])
    assert [bar for bar in BARS if bar not in told] == [] and "\r" in told.replace("\r\n", "\n")
    quiet = [[*caption, "--quiet", "--overwrite"], attend, [*check, "run.progress=false"]]
    assert on_a_terminal(quiet) == ""


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="captioner[web] is not installed")
def test_server_says_that_it_loads_and_then_where_it_is() -> None:
    command = [sys.executable, "-m", "captioner", "serve", "--port", "0", "--device", "cpu"]
    command += ["--checkpoint", str(tiny.model_file())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stderr.readline() == f"captioner: loading {tiny.model_file()} ...\n"
        told = process.stdout.readline().split()
        assert told[:2] == ["captioner:", told[1]] and told[1].startswith("http://127.0.0.1:")
        urllib.request.urlopen(f"{told[1]}/health", timeout=60).close()  # it obeys signals from now on
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read().strip().splitlines() == [
            "captioner: answering what is under way; once more stops at once"
        ]
