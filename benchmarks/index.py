"""What a process holds of records and encoded captions: in lists, and memory-mapped from an index.

The records are made up, with empty image files, so nothing is encoded; captions are encoded for photos and
mirror images. Each contender runs in a process of its own: "held" is what its anonymous memory has grown by,
which nobody shares; "mapped" is what it has read of files, programs among them.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import torch
from timing import machine
from told import run, whole

from captioner.config.data import CocoConfig, VocabularyConfig
from captioner.config.schema import RunConfig
from captioner.data.words import count_vocabulary
from captioner.features.captions import encoded_captions
from captioner.features.records import mirror_images, read_split
from captioner.system.device import keep_memory

WORDS = 10_000  # of the vocabulary, drawn as often as their rank says
A_FOLDER = 10_000  # images
BATCH, BATCHES = 64, 1000


def make_up(folder: Path, images: int, captions: int) -> None:
    """A COCO file with captions of 8 to 13 words, and its image files."""
    draw, words = random.Random(0), [f"w{n}" for n in range(WORDS)]
    total, odds = 0.0, []
    for n in range(WORDS):
        total += 1 / (n + 1)
        odds.append(total)
    names = [f"{n // A_FOLDER:05}/{n:012}.jpg" for n in range(images)]
    with (folder / "captions.json").open("w") as file:
        file.write('{"images": [')
        for n, name in enumerate(names):
            (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "images" / name).touch()
            file.write(", " * (n > 0) + json.dumps({"id": n, "file_name": name}))
        file.write('], "annotations": [')
        for n in range(images * captions):
            text = " ".join(draw.choices(words, cum_weights=odds, k=draw.randint(8, 13)))
            file.write(", " * (n > 0) + json.dumps({"image_id": n // captions, "caption": text}))
        file.write("]}")


def start(folder: Path, index: str) -> dict[str, float]:
    """What a training process does before it encodes photos, and a thousand batches of captions."""
    keep_memory()
    data = CocoConfig(root=str(folder), train="captions.json", train_images="images")
    run = RunConfig("cpu", cache=str(folder / "cache"), index=index)
    found = {"held before": memory("RssAnon")}
    began = time.perf_counter()
    records = read_split(data, "train", run)
    found |= {"records, s": time.perf_counter() - began}
    found["builder"] = 1024.0 * getrusage(RUSAGE_CHILDREN).ru_maxrss
    vocabulary = count_vocabulary(records, VocabularyConfig(min_count=1))
    found["held with records"] = memory("RssAnon")
    began = time.perf_counter()
    captions = encoded_captions(records, mirror_images(records), vocabulary, 50)
    found |= {"captions, s": time.perf_counter() - began}
    draw = random.Random(0)
    drawn = [draw.choices(range(len(records)), k=BATCH) for _ in range(BATCHES)]
    began = time.perf_counter()
    for numbers in drawn:
        assert all(captions[number] for number in numbers)
    found |= {"a batch, ms": 1000 * (time.perf_counter() - began) / BATCHES}
    return found | {"held": memory("RssAnon"), "mapped": memory("RssFile")}


def memory(kind: str) -> float:
    """Of this process, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=whole(), default=20_000)
    parser.add_argument("--captions", type=whole(), default=5, help="of each")
    parser.add_argument("--start", nargs=2, metavar=("FOLDER", "INDEX"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        print(json.dumps(start(Path(options.start[0]), options.start[1])))
        return
    with tempfile.TemporaryDirectory() as name:
        make_up(Path(name), options.images, options.captions)
        contenders = {"in lists": "never", "index, built": "always", "index, opened": "always"}
        for contender, index in contenders.items():
            command = [sys.executable, __file__, "--start", name, index]
            done = subprocess.run(command, stdout=subprocess.PIPE)
            if done.returncode:
                sys.exit(done.returncode)  # it has said why
            found = json.loads(done.stdout)
            grown = [found[key] - found["held before"] for key in ("held with records", "held")]
            print(f"  {contender:<15}", end="")
            print(
                f"records in {found['records, s']:.2f} s, captions in {found['captions, s']:.2f} s", end=", "
            )
            print(f"held {grown[0] / 1e6:,.0f} MB with records", end=", ")
            print(f"{grown[1] / 1e6:,.0f} MB with captions", end=" ")
            print(
                f"({grown[1] / options.images:,.0f} B an image), mapped {found['mapped'] / 1e6:,.0f} MB",
                end=", ",
            )
            if contender == "index, built":
                print(f"at most {found['builder'] / 1e6:,.0f} MB in the process that built it", end=", ")
            print(f"captions of {BATCH} images in {found['a batch, ms']:.2f} ms")
        files = {
            kind: sum(f.stat().st_size for f in Path(name).glob(f"cache/*/{kind}*"))
            for kind in ("records", "captions")
        }
        print(
            "  "
            + ", ".join(
                f"{kind}: {size / options.images:.0f} B an image on disk" for kind, size in files.items()
            )
        )
    print(f"  {machine(torch.device('cpu'))}; {options.images:,} images, {options.captions} captions each")


if __name__ == "__main__":
    run(main)
