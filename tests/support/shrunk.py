"""The commands of the docs at a size that a test can afford, and programs that stand for others.

``python -m support.shrunk PROGRAM ARGUMENTS`` is what those names on the PATH of ``programs()`` run.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from support.slurm import sacct, sbatch, scontrol, srun

TESTS = Path(__file__).parents[1]
QUIET = {"run.progress": "false", "run.compile": "false"}
SCENES = {"data.train": "16", "data.val": "4", "data.test": "4"}
NARROW = {
    "encoder.image_size": "64",
    "attention.size": "8",
    "decoder.hidden_size": "8",
    "decoder.embedding_size": "8",
    "vocabulary.min_count": "1",
}
UNTRAINED = {"encoder.weights": "null", "encoder.mean": "[0.5,0.5,0.5]", "encoder.std": "[0.5,0.5,0.5]"}
EPOCHS = {"training.epochs": "1"}


def shrink(words: Sequence[str]) -> list[str]:
    """A command line of captioner, with fewer and smaller of everything that it does not say itself."""
    name, *given = words
    said = dict(word.split("=", 1) for word in given if "=" in word and not word.startswith("-"))
    if name not in ("train", "compare", "encode") or "--help" in given:
        return list(words)
    more = dict(QUIET)
    if "resume" not in said:
        more |= EPOCHS
    if not {"resume", "init"} & set(said):
        of_photos = "data" in said or said.get("experiment", "").startswith("flickr8k")
        if of_photos:
            more |= NARROW | ({} if "experiment" in said else UNTRAINED)
        else:
            more |= SCENES | ({} if name == "compare" else NARROW)  # whose widths name its runs
        if name == "compare":
            more |= {"seeds": "[0]"}
    forced = {key: value for key, value in more.items() if key not in said or key in EPOCHS}
    return [*words, *(f"{key}={value}" for key, value in forced.items())]


def captioner(words: list[str]) -> None:
    run([sys.executable, "-m", "captioner", *shrink(words)])


def torchrun(words: list[str]) -> None:
    """Two processes; where ``MACHINE`` says which of several this one stands for, one each."""
    here = os.environ.get("MACHINE")
    line = re.sub(r"(--nproc-per-node) \d+", rf"\1 {2 if here is None else 1}", shlex.join(words))
    words = shlex.split(line)
    if "captioner" in words:
        at = words.index("captioner") + 1
        words[at:] = shrink(words[at:])
    if here is None:
        own = ["--master-port", os.environ["PORT"]]
    else:  # the name of the host does not tell which of them is the first
        own = ["--local-addr", "127.0.0.1", "--rdzv-conf", f"is_host={int(here == '0')}"]
    run([sys.executable, "-m", "torch.distributed.run", *own, *words])


def mkdocs(words: list[str]) -> None:
    run([sys.executable, "-m", "mkdocs", *words])


PROGRAMS = {of.__name__: of for of in (captioner, torchrun, srun, sbatch, sacct, scontrol, mkdocs)}


def run(command: list[str]) -> None:
    os.execv(command[0], command)


def programs(folder: Path) -> dict[str, str]:
    """The environment in which ``captioner``, ``torchrun`` and Slurm's commands are those of this file."""
    folder.mkdir()
    for name in PROGRAMS:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m support.shrunk {name} "$@"\n')
        script.chmod(0o755)
    own = [str(folder), str(Path(sys.executable).parent)]
    return {
        "PATH": os.pathsep.join([*own, os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "OMP_NUM_THREADS": "1",
        "JOBS": str(folder / "jobs"),
    }


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2:])
