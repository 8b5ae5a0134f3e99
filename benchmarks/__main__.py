"""``python benchmarks``: all of them; ``python benchmarks decoder files``: some; each has its --help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from told import run

from captioner.errors import check_choice

PARTS = {
    "decoder": "training step and beam search against a textbook implementation and the arithmetic",
    "files": "captioning from files, and the annotation cache, against the bare encoder",
    "precision": "the loss curve of bf16 beside that of fp32",
    "growth": "time and memory of a step against locations, beam, vocabulary and batch",
    "scale": "the arithmetic of large data: storage, core-hours, network, memory per image",
    "index": "records and captions of many photos: in lists, and memory-mapped from an index",
    "startup": "how long commands take to begin",
}


def main() -> None:
    chosen = sys.argv[1:] or list(PARTS)
    if {"-h", "--help"} & set(chosen):
        print("usage: python benchmarks [PART ...]\n")
        print("\n".join(f"  {name:<11}{what}" for name, what in PARTS.items()))
        return
    for name in chosen:
        check_choice(name, PARTS, "benchmarks")
    folder = Path(__file__).parent
    for name in chosen:
        print(f"== {name}: {PARTS[name]}", flush=True)
        done = subprocess.run([sys.executable, folder / f"{name}.py"])
        if done.returncode:
            sys.exit(done.returncode)  # it has said why
        print()


if __name__ == "__main__":
    run(main)
