"""Shards captioned by the command while what it depends on fails; its outputs alone are judged.

    python tests/tools/bulk_exercise.py --images 20000 --tars 40       # --ray local with two actors
    python tests/tools/bulk_exercise.py --patience 15                  # 500 images, a few minutes
    python tests/tools/bulk_exercise.py --ray auto                     # on a cluster of its own

One JPEG in a hundred is broken, and one kills the process that decodes it. The disk fills up (a tmpfs, so as
root), a tar is cut short, the driver, an actor and the process that captions are killed or stopped. Prints
what is promised and what happened; exits with 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import resource
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # where support/ is

from support.bulk_exercise import HOOK, Command, Exercise, judge, of, read
from support.made_shards import NAME, make_shards
from support.processes import Process, ray_cluster
from support.shards import KILLS

ACTORS = 2
HURT = {"actor": slice(0, 1), "worker": slice(1, 2), "both": slice(2)}  # of an actor and its process
CUT = 1  # the tar that is cut short
ENDED = 180.0  # seconds until nothing of a killed driver is left; Ray's agents look for it now and then


def undisturbed(exercise: Exercise) -> None:
    """What the plain command says of each photo, and how fast it and Ray are when nothing happens."""
    shards, rates = exercise.shards, {}
    for name, given, output, flags in (
        ("a folder of photos", "photos", "plain.jsonl", ()),
        ("tars", "*.tar", "calm", ()),
        (f"tars, --ray {exercise.ray}", "*.tar", "ray", ("--ray", exercise.ray, "--actors", str(ACTORS))),
    ):
        before = processor_seconds()
        status, lines, seconds = exercise.caption(given, output, *flags)
        rates[name] = shards.images / seconds, processor_seconds() - before
        exercise.told(f"captioner caption, {name}", status == 1, f"{seconds:.0f} s; {lines[-1:]}")
    for name, (rate, used) in rates.items():
        of_ray = "" if "--ray" in name else f"; {used:.1f} CPU seconds"  # which it does not wait for
        print(f"  {rate:,.0f} images a second of {name}, start-up included{of_ray}", flush=True)
    shards.captions = {Path(r["path"]).stem: r.get("caption") for r in read(exercise.folder / "plain.jsonl")}
    said = len(set(shards.captions.values()))
    exercise.told("the model tells images apart", said > 5, f"{said} different captions")
    for output in ("calm", "ray"):
        judge(exercise, output)


def processor_seconds() -> float:
    """Of the commands that have ended and of the processes that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def full_disk(exercise: Exercise) -> None:
    """A disk that holds a few shards, and then more."""
    out, folder = exercise.folder / "out", exercise.folder
    size = sum(path.stat().st_size // 4096 + 1 for path in (folder / "ray").iterdir()) * 4096
    size = size * 4 // exercise.shards.tars + 4096 * 4
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(out)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        print("  -       full disk: left out, a tmpfs needs root", flush=True)
        return
    status, lines, seconds = exercise.on_ray("out", "--actors", str(ACTORS))
    one = len(lines) == 1 and re.search(r"cannot write \S+ \(No space left on device\)", lines[0])
    exercise.told("full disk: status 2 and one line", status == 2 and bool(one), f"{seconds:.0f} s; {lines}")
    whole = all(len(read(path)) == exercise.shards.in_tar for path in whole_outputs(exercise))
    exercise.told("full disk: what is there is whole", whole, f"{exercise.done()} shards")
    subprocess.run(["mount", "-o", "remount,size=4g", str(out)], check=True)


def whole_outputs(exercise: Exercise) -> list[Path]:
    cut = f"{CUT:05d}.jsonl"
    return [path for path in (exercise.folder / "out").glob("*.jsonl") if path.name != cut]


def killed_driver(exercise: Exercise) -> None:
    left: list[Process] = []

    def disturb(command: Command) -> None:
        exercise.after_a_shard(command)
        exercise.after_a_shard(command)
        left.extend(exercise.started(command))
        command.kill()

    status, _, _ = exercise.on_ray("out", "--actors", str(ACTORS), disturb=disturb)
    killed = status == -signal.SIGKILL and any(of("actor", process) for process in left)
    start = time.monotonic()
    ours = 0.0
    while (there := [process for process in left if process.runs]) and time.monotonic() < start + ENDED:
        ours = time.monotonic() - start if any(of("actor", p) or of("worker", p) for p in there) else ours
        time.sleep(0.2)
    names = [process.command.strip("\0")[:40] for process in there]
    detail = (
        f"{len(left)} processes, gone after {ours:.0f} s ours, {time.monotonic() - start:.0f} s all; {names}"
    )
    exercise.told("killed driver: nothing is left running", killed and not there, detail)
    status, records = exercise.merged("out", "early.jsonl")
    exercise.told("merge refuses while shards are missing", status == 2 and not records)


def killed_and_stopped(exercise: Exercise) -> None:
    """An actor is killed, one stopped, then the child of another, then one together with its child."""
    done: list[str] = []

    def disturb(command: Command) -> None:
        for name, number in (("actor", "KILL"), ("actor", "STOP"), ("worker", "STOP"), ("both", "STOP")):
            exercise.after_a_shard(command)
            running = [p for p in exercise.started(command) if p.state != "T"]
            pairs = {p.parent: p for p in running if of("worker", p)}  # one of the two notices the other
            found = [(p, pairs[p.pid]) for p in running if of("actor", p) and p.pid in pairs]
            if found:
                for process in found[0][HURT[name]]:
                    os.kill(process.pid, getattr(signal, f"SIG{number}"))
                done.append(f"SIG{number} to {name} at {exercise.done()} shards")

    status, lines, seconds = exercise.on_ray("out", "--actors", str(ACTORS), disturb=disturb)
    exercise.told(
        "killed and stopped processes: the command ends by itself",
        status == 1 and len(done) == 4 and exercise.done() == exercise.shards.tars,
        f"{seconds:.0f} s; {done}, {lines[-1:]}",
    )


def cut_tar(exercise: Exercise, whole: bytes) -> None:
    tar, output = (exercise.folder / f"{CUT:05d}{ending}" for ending in (".tar", ""))
    records = read(exercise.folder / "out" / f"{output.name}.jsonl")
    first = CUT * exercise.shards.in_tar
    with tarfile.open(fileobj=io.BytesIO(whole)) as opened:
        readable = sum(one.offset_data + one.size <= tar.stat().st_size for one in opened)
    numbers = range(first, first + readable)
    good = [record["key"] for record in records[:readable]] == [NAME.format(n) for n in numbers]
    good &= [n for n, r in zip(numbers, records) if "error" in r] == sorted(
        {*numbers} & exercise.shards.broken
    )
    others = records[readable:]  # perhaps the image within which it ends, and the tar itself
    good &= 1 <= len(others) <= 2 and all("error" in r for r in others) and others[-1]["key"] == ""
    detail = f"{readable} readable, {others[-1].get('error', '').rpartition('/')[2]!r}"
    exercise.told("cut tar: its readable images, and one error of its own", good, detail)
    tar.write_bytes(whole)
    before = outputs(exercise)
    status, lines, seconds = exercise.on_ray("out", "--retry-errors", "--actors", str(ACTORS))
    exercise.told("cut tar, whole again: --retry-errors", status == 1, f"{seconds:.0f} s; {lines[-1:]}")
    assert before.keys() == outputs(exercise).keys()


def finished(exercise: Exercise) -> None:
    """Rerun of the finished job, on all cores of this machine."""
    before = outputs(exercise)
    status, lines, seconds = exercise.on_ray("out")
    same = outputs(exercise) == before
    exercise.told("finished job again: ends, with 0", status == 0 and same, f"{seconds:.0f} s; {lines[-1:]}")


def outputs(exercise: Exercise) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (exercise.folder / "out").iterdir()}


def main() -> int:
    """Run the exercise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--tars", type=int, default=20)
    parser.add_argument("--ray", choices=("local", "auto"), default="local")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="until a stopped process is taken for dead (default: the command's, 120 and 600)",
    )
    options = parser.parse_args()
    with TemporaryDirectory(prefix="captioner-bulk-") as name:
        folder = Path(name)
        shards = make_shards(folder, options.images // options.tars * options.tars, options.tars)
        (folder / "hook").mkdir()
        hook = HOOK.format(killer=KILLS, patience=options.patience)
        (folder / "hook" / "sitecustomize.py").write_text(hook)
        paths = os.pathsep.join([str(folder / "hook"), str(Path(__file__).parents[2])])
        environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        exercise = Exercise(folder, shards, environment, options.ray)
        print(f"{shards.images:,} images in {shards.tars} tars, {len(shards.broken)} broken", flush=True)
        try:
            if options.ray == "auto":
                exercise.cluster, exercise.environment = ray_cluster(ACTORS, folder, environment)
            under_fire(exercise)
        finally:
            if exercise.cluster:
                exercise.cluster.terminate()
                exercise.cluster.wait()
            subprocess.run(["umount", str(folder / "out")], stderr=subprocess.DEVNULL)
    return 1 if exercise.broken else 0


def under_fire(exercise: Exercise) -> None:
    undisturbed(exercise)
    tar = exercise.folder / f"{CUT:05d}.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) * 3 // 5])
    full_disk(exercise)
    killed_driver(exercise)
    killed_and_stopped(exercise)
    cut_tar(exercise, whole)
    finished(exercise)
    judge(exercise, "out")


if __name__ == "__main__":
    sys.exit(main())
