"""``python benchmarks``: all of them; ``python benchmarks decoder files``: some; each has its --help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print("usage: python benchmarks [PART ...]\n")
        print("\n".join(f"  {name:<11}{what}" for name, what in PARTS.items()))
        sys.exit(0 if set(unknown) <= {"-h", "--help"} else 2)
    folder = Path(__file__).parent
    for name in chosen:
        print(f"== {name}: {PARTS[name]}", flush=True)
        subprocess.run([sys.executable, folder / f"{name}.py"], check=True)
        print()


if __name__ == "__main__":
    main()
