"""Programs that stand for Slurm's, on this machine: a job is accepted at once, and runs on its own.

A job's state, output and steps are where Slurm has them as far as captioner, submitit and docs/scale.md ask;
the folder ``JOBS`` has a file for the state of each task.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 2  # tasks of an array
SECONDS_TO_PREPARE = 60
LOGS = ("output", "error")


def sbatch(words: Sequence[str]) -> None:
    """Submit a job. With ``--wait`` its status is the job's, whose output it shows if that is not 0."""
    number = _new_job()
    given = _of_sbatch(words, number)
    tasks = {number: _environment(number, given)}
    if given.array:
        first, last = map(int, re.findall(r"\d+", given.array)[:2])
        count = str(last - first + 1)
        of_array = {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_COUNT": count}
        tasks = {
            f"{number}_{i}": tasks[number] | of_array | {"SLURM_ARRAY_TASK_ID": str(i)}
            for i in range(first, last + 1)
        }
    for name in tasks:
        _state(name).write_text("PENDING")
    print(f"Submitted batch job {number}", flush=True)
    if not given.wait:
        if os.fork():
            return
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda name: _run(name, tasks[name], given), tasks))
    for name, status in zip(tasks, done) if given.wait else ():
        if status:
            sys.exit(f"{name}: {_log(given.output, tasks[name]).read_text()}")


def srun(words: Sequence[str]) -> None:
    """A job of several machines runs the command on each, as ``MACHINE`` says; of one, once."""
    parser = ArgumentParser("srun", allow_abbrev=False)
    parser.add_argument("--unbuffered", action="store_true")
    for log in LOGS:
        parser.add_argument(f"--{log}")
    parser.add_argument("command", nargs=REMAINDER)
    given = parser.parse_args(words)
    machines = int(os.environ["SLURM_NNODES"])
    started = []
    for i in range(machines):
        step = os.environ | ({"MACHINE": str(i)} if machines > 1 else {}) | {"SLURM_PROCID": str(i)}
        out, err = (_appended(_log(name, step)) if name else None for name in (given.output, given.error))
        started.append(subprocess.Popen(given.command, env=step, stdout=out, stderr=err))
    sys.exit(max(process.wait() for process in started))


def sacct(words: Sequence[str]) -> None:
    """The states of jobs, as submitit asks for them."""
    parser = ArgumentParser("sacct", allow_abbrev=False)
    parser.add_argument("-o", choices=["JobID,State,NodeList"])
    parser.add_argument("--parsable2", action="store_true", required=True)
    parser.add_argument("-j", action="append")
    given = parser.parse_args(words)
    print(given.o.replace(",", "|"))
    for number in given.j:
        for state in sorted(Path(os.environ["JOBS"], number).glob("*.state")):
            print(f"{state.stem}|{state.read_text()}|machine")


def scontrol(words: Sequence[str]) -> None:
    assert words[:2] == ["show", "hostnames"], words
    print("127.0.0.1")


def _of_sbatch(words: Sequence[str], number: str) -> Namespace:
    """What is asked of sbatch, by its script's comments and before those on its command line."""
    parser = ArgumentParser("sbatch", allow_abbrev=False)
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--nodes", default="1")
    parser.add_argument("--array")
    parser.add_argument("--wrap")
    for log in LOGS:
        parser.add_argument(f"--{log}")
    parser.add_argument("script", nargs="?")
    given, _ = parser.parse_known_args(words)
    text = given.wrap or Path(given.script).read_text()
    stated = shlex.split(" ".join(re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE)))
    given, _ = parser.parse_known_args([*stated, *words])
    given.script = Path(os.environ["JOBS"], number, "script")
    given.script.write_text(text)  # submitit moves its own
    given.output = given.output or ("slurm-%A_%a.out" if given.array else "slurm-%j.out")
    return given


def _new_job() -> str:
    number = 1
    while True:
        try:
            Path(os.environ["JOBS"], str(number)).mkdir(parents=True)
            return str(number)
        except FileExistsError:
            number += 1


def _state(task: str) -> Path:
    return Path(os.environ["JOBS"], task.partition("_")[0], f"{task}.state")


def _environment(number: str, given: Namespace) -> dict[str, str]:
    own = {"SLURM_JOB_ID": number, "SLURM_JOB_NODELIST": "machine", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    own |= {"SLURM_NNODES": given.nodes, "SLURM_JOB_NUM_NODES": given.nodes, "SLURM_NTASKS": given.nodes}
    return {**os.environ, **own, "SLURM_PROCID": "0"}


def _log(pattern: str, environment: dict[str, str]) -> Path:
    """A file by its pattern."""
    of = {"%j": "SLURM_JOB_ID", "%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%t": "SLURM_PROCID"}
    return Path(re.sub("%[jAat]", lambda found: environment[of[found[0]]], pattern))


def _appended(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _run(task: str, environment: dict[str, str], given: Namespace) -> int:
    output = _log(given.output, environment)
    deadline = time.monotonic() + SECONDS_TO_PREPARE
    while not output.parent.exists() and time.monotonic() < deadline:  # until submitit has heard of the job
        time.sleep(0.2)
    status = 1
    _state(task).write_text("RUNNING")
    try:
        out = _appended(output)
        err = _appended(_log(given.error, environment)) if given.error else out
        status = subprocess.run(["bash", given.script], env=environment, stdout=out, stderr=err).returncode
    finally:
        _state(task).write_text("FAILED" if status else "COMPLETED")
    return status
