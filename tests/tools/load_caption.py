"""``captioner caption`` over many generated images, one in five broken: nothing lost, memory flat.

    python tests/tools/load_caption.py --count 20000

Exits with 1 if an answer is lost, doubled or wrong, or if memory still grows after the first quarter. The
default tests run a small number.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # where support/ is

from support import tiny

BROKEN = 5  # every fifth image is cut short
GROWTH = 64 * 2**20  # bytes that memory may grow by after the warm-up


def main() -> int:
    """Generate the images, caption them, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    count = parser.parse_args().count
    with TemporaryDirectory() as name:
        folder, output = Path(name) / "images", Path(name) / "captions.jsonl"
        make_images(folder, count)
        start = time.perf_counter()
        memory = caption(folder, output)
        seconds = time.perf_counter() - start
        problems = check(output, folder, count)
    # a quarter of the answers is warm-up: the allocator's pools and torch's buffers fill
    warm = max((rss for done, rss in memory if done <= count / 4), default=0)
    late = max((rss for done, rss in memory if done > count / 4), default=0)
    if not (warm and late):
        problems.append(f"memory was not seen both before and after a quarter: {memory}")
    if late > warm + GROWTH:
        problems.append(f"memory grew from {warm / 2**20:.0f} to {late / 2**20:.0f} MB after the warm-up")
    print(f"{count:,} images in {seconds:.0f} s, start-up included: {count / seconds:,.0f} a second")
    print(f"memory: {warm / 2**20:.0f} MB in the first quarter, then {late / 2**20:.0f} MB at the most")
    print("\n".join(problems) or "every image has its one answer")
    return 1 if problems else 0


def make_images(folder: Path, count: int) -> None:
    """``count`` files, few different ones, every fifth of them broken."""
    folder.mkdir()
    sound = []
    for record in tiny.records():
        stream = io.BytesIO()
        record.source().save(stream, "PNG")  # type: ignore[operator]
        sound.append(stream.getvalue())
    for i in range(count):
        data = sound[i % len(sound)]
        (folder / f"{i:06d}.png").write_bytes(data[: len(data) // 2] if is_broken(i) else data)


def is_broken(number: int) -> bool:
    return number % BROKEN == BROKEN - 1


def caption(folder: Path, output: Path) -> list[tuple[int, int]]:
    """Run the command; returns its own memory in bytes over the answers written so far."""
    command = [sys.executable, "-m", "captioner", "caption", str(folder), "--format", "jsonl"]
    command += ["--checkpoint", str(tiny.model_file()), "--device", "cpu", "--output", str(output)]
    found: list[tuple[int, int]] = []
    written = output.with_name(output.name + ".part")  # until the last answer is there
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            done = written.read_bytes().count(b"\n") if written.exists() else 0
            if done and (rss := resident(process.pid)):
                found.append((done, rss))
            time.sleep(0.5)
    return found


def resident(process: int) -> int:
    """Bytes that a process has made its own; the pages of libraries come and go as they are used."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
    return 1024 * found[0] if found else 0


def check(output: Path, folder: Path, count: int) -> list[str]:
    """What is wrong with the answers, nothing if every image has the one that it must have."""
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    answers = Counter(record["path"] for record in records)
    wanted = [str(folder / f"{i:06d}.png") for i in range(count)]
    problems = [f"{path} has {answers[path]} answers" for path in wanted if answers[path] != 1]
    if [record["path"] for record in records] != wanted:
        problems.append(f"{len(records)} answers for {count} images, or in another order")
    texts: dict[int, set[str]] = {}
    for record in records:
        number = int(Path(record["path"]).stem)
        if ("error" in record) != is_broken(number):
            problems.append(f"{record['path']}: {record}")
        elif not is_broken(number):
            texts.setdefault(number % len(tiny.records()), set()).add(record["caption"])
    problems += [f"scene {i} has {len(said)} captions: {said}" for i, said in texts.items() if len(said) > 1]
    return problems


if __name__ == "__main__":
    sys.exit(main())
