"""The commands of docs/scale.md: two processes for a job's many, and programs that stand for Slurm's.

Kubernetes' pods are two processes with their environment, S3 is a folder, and Ray a cluster on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from commands.test_pages import on_ray, typed
from support import stand_ins
from support.documented import SCRIPT
from support.processes import ray_cluster
from support.typed import Folder, ended_well, remove

PAGE = "docs/scale.md"
LAUNCHERS = ("joblib", "submitit")
BUCKETS = """
import os
from fsspec.implementations.local import LocalFileSystem

__version__ = "2030.1"

class S3FileSystem(LocalFileSystem):
    protocol = ("s3", "s3a")

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(path.replace("s3:/", os.environ["BUCKETS"]))
"""


@pytest.fixture
def at_scale(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Shards too, and a bucket that has them."""
    folder.without("java")
    stand_ins.shards(folder.path)
    (folder.path / "bucket").mkdir()
    (folder.path / "bucket" / "photos").symlink_to(folder.path / "shards")
    (folder.path / "bin" / "s3fs.py").write_text(BUCKETS)
    monkeypatch.setenv("BUCKETS", str(folder.path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder.path / "bin"), os.environ["PYTHONPATH"]]))
    return folder


def scripts() -> Iterator[str]:
    return filter(SCRIPT.match, typed(PAGE))


def plain() -> Iterator[str]:
    return (c for c in typed(PAGE) if not SCRIPT.match(c) and not on_ray(c) and c != "sbatch train.sh")


@pytest.mark.slow
def test_training_and_benchmarks(at_scale: Folder) -> None:
    for command in plain():
        if "--nnodes 2" in command:
            machines(at_scale, command)
        elif not any(word in command for word in ("caption ", "merge", "sbatch", *LAUNCHERS)):
            at_scale.type(command)


def machines(folder: Folder, command: str) -> None:
    """The command on each of two machines."""
    small = folder.small(command)
    folder.prepare(small)
    ended_well(*(folder.start(small, MACHINE=machine) for machine in "01"))


@pytest.mark.slow
def test_sweeps(at_scale: Folder) -> None:
    for launcher in LAUNCHERS:
        pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    for command in plain():
        if "hydra/launcher" in command:
            at_scale.type(command)


@pytest.mark.slow
def test_a_job_lost_on_slurm_is_told_in_a_line(at_scale: Folder) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    at_scale.without("srun")
    (command,) = (c for c in plain() if "submitit_slurm" in c and "train" in c)
    started = at_scale.start(at_scale.small(command))
    said, _ = started.communicate(timeout=600)
    assert started.returncode == 2 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("captioner: hydra/launcher: Job 1_0 (task: 0)")


@pytest.mark.slow
def test_shards(at_scale: Folder) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    stand_ins.table_of_bytes(at_scale.path / "more.parquet", at_scale.path / "photos")
    for command in plain():
        if any(word in command for word in ("caption '", "caption all", "merge", "sbatch")):
            at_scale.type(command)
    assert len(list((at_scale.path / "out").glob("*.jsonl"))) == 4


@pytest.mark.slow
def test_scripts(at_scale: Folder) -> None:
    again, slurm, kubernetes = scripts()
    shared = at_scale.path / "shared"
    for _ in range(2):  # begun, and resumed
        ended_well(at_scale.start(at_scale.small(again)))
    remove(shared / "runs")
    (at_scale.path / "train.sh").write_text(at_scale.small(slurm))
    at_scale.type("sbatch train.sh")
    assert (shared / "runs" / "a" / "model.safetensors").exists()
    remove(shared / "runs")
    pods(at_scale, yaml.safe_load(at_scale.small(kubernetes)))
    assert (shared / "runs" / "a" / "model.safetensors").exists()


def pods(folder: Folder, job: dict) -> None:
    """The first two pods of a PyTorchJob, with the environment that its operator gives them."""
    replicas = job["spec"]["pytorchReplicaSpecs"]
    (container,) = replicas["Master"]["template"]["spec"]["containers"]
    assert replicas["Worker"]["template"] == replicas["Master"]["template"]
    assert container["command"] == ["sh", "-c"]
    (script,) = container["args"]
    job_of_two = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": folder.port, "WORLD_SIZE": "2"}
    ended_well(*(folder.start(script, RANK=rank, **job_of_two) for rank in "01"))


@pytest.mark.ray
@pytest.mark.skipif(find_spec("ray") is None, reason="bash scripts/test.sh --ray installs it")
def test_on_ray(at_scale: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, environment = ray_cluster(2, tmp_path, os.environ)
    try:
        for command in typed(PAGE):
            if on_ray(command):
                own = environment if "--ray auto" in command else {}
                small = at_scale.small(command)
                at_scale.prepare(small)
                ended_well(at_scale.start(small, **own))
    finally:
        cluster.terminate()
        cluster.wait()
