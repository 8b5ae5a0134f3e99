"""Shards on Ray: what a killed image, actor or driver costs. For ``bash scripts/test.sh --ray``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.processes import descendants, ray_actors, ray_cluster
from support.shards import HANGS, KILLS, SETTINGS, STUB, jpeg, make_tars, seen

from captioner.bulk.job import Job, remaining
from captioner.bulk.manifest import claim, manifest_of
from captioner.bulk.merge import merge
from captioner.bulk.on_ray import run_on_ray
from captioner.bulk.outputs import read_records
from captioner.bulk.shards import plan
from captioner.data.photos.find import Finder

pytest.importorskip("ray", reason="ray is missing: bash scripts/test.sh --ray installs it")
pytestmark = pytest.mark.ray

SHARDS, ACTORS = 6, 2


def job_in(folder: Path, stalled: float = 60.0) -> Job:
    """A job over the tars of a folder, with the stub for a model."""
    output = folder / "out"
    shards, listing = plan([f"{folder}/*.tar"], 4000, output, Finder())
    manifest = manifest_of(SETTINGS, "jsonl", shards)
    claim(output, manifest, listing)
    return Job(output, manifest, SETTINGS, command=STUB, stalled=stalled)


def answers(folder: Path) -> list[tuple[str, str | None]]:
    merge(folder / "out", folder / "all.jsonl")
    return [(record["key"], record.get("caption")) for record in read_records(folder / "all.jsonl")]


def wanted(images: dict[str, bytes], broken: set[str]) -> list[tuple[str, str | None]]:
    return [(key, None if key in broken else seen(data)) for key, data in images.items()]


def test_image_that_kills_costs_itself_and_a_finished_job_ends(tmp_path: Path) -> None:
    images = make_tars(tmp_path, SHARDS, n000002=jpeg(2, KILLS), n000009=b"broken")
    job = job_in(tmp_path)
    done = list(run_on_ray(job, remaining(job), "local", ACTORS))
    assert sum(shard.images for shard in done) == len(images)
    assert sum(shard.failed for shard in done) == 2
    assert answers(tmp_path) == wanted(images, {"n000002", "n000009"})
    assert remaining(job) == []
    assert list(run_on_ray(job, range(SHARDS), "local", ACTORS)) == []  # on a cluster too


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_actor_that_is_killed_or_stopped_costs_no_record(tmp_path: Path, number: int) -> None:
    images = make_tars(tmp_path, SHARDS, n000002=jpeg(2, HANGS))
    job = job_in(tmp_path, stalled=20.0)
    done = []
    for shard in run_on_ray(job, remaining(job), "local", 1, patience=8.0):
        if not done:
            (actor,) = ray_actors(os.getpid())
            os.kill(actor.pid, number)
        done.append(shard)
    assert answers(tmp_path) == wanted(images, {"n000002"})


def test_actor_that_is_stopped_with_its_child_costs_no_record(tmp_path: Path) -> None:
    images = make_tars(tmp_path, SHARDS)
    job = job_in(tmp_path)
    done, stopped = [], []
    for shard in run_on_ray(job, remaining(job), "local", 1, patience=8.0):
        if not done:
            (actor,) = ray_actors(os.getpid())
            stopped = [actor, *descendants(actor.pid)]
            for process in stopped:
                os.kill(process.pid, signal.SIGSTOP)
        done.append(shard)
    assert answers(tmp_path) == wanted(images, set())
    assert len(stopped) == 2 and not any(process.runs for process in stopped)


def driver(
    folder: Path, cluster: str, environment: Mapping[str, str] = os.environ
) -> subprocess.Popen[bytes]:
    """A process that does what is left, and says the name of each shard and, last, ``end``."""
    script = f"""
from pathlib import Path
from bulk.test_ray import job_in, remaining, run_on_ray
job = job_in(Path({str(folder)!r}))
for done in run_on_ray(job, remaining(job), {cluster!r}, {ACTORS}):
    print(done.shard, flush=True)
print("end")
"""
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", script], env={**environment, **paths}, stdout=subprocess.PIPE
    )


def test_driver_that_is_killed_costs_the_shards_under_way(tmp_path: Path) -> None:
    images = make_tars(tmp_path, SHARDS)
    killed = driver(tmp_path, "local")
    assert killed.stdout is not None and killed.stdout.readline()
    killed.kill()
    killed.wait()
    job = job_in(tmp_path)
    left = remaining(job)
    assert len(left) < SHARDS
    list(run_on_ray(job, left, "local", ACTORS))
    assert answers(tmp_path) == wanted(images, set())


def test_cluster_that_runs_is_joined_again_after_a_killed_driver(tmp_path: Path) -> None:
    images = make_tars(tmp_path, SHARDS, n000009=b"broken")
    cluster, environment = ray_cluster(ACTORS, tmp_path, os.environ)
    try:
        killed = driver(tmp_path, "auto", environment)
        assert killed.stdout is not None and killed.stdout.readline()
        killed.kill()
        killed.wait()
        said, _ = driver(tmp_path, "auto", environment).communicate()
        assert said.split()[-1] == b"end"
        assert cluster.poll() is None
    finally:
        cluster.terminate()
        cluster.wait()
    assert answers(tmp_path) == wanted(images, {"n000009"})
