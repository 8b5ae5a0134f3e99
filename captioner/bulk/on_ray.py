"""Shards on a Ray cluster, or on all cores of this machine: Ray Data schedules, retries and scales.

An actor is a process that has a child which captions. Ray starts killed actors again with the shard that they
had. Ray Data's own checkpoints are not used: which outputs exist says what is done.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from captioner.bulk.job import Done, Job, caption_into
from captioner.errors import CaptionerError

CLUSTERS = ("auto", "local")
PATIENCE = 120.0  # seconds; then an actor that was stopped is killed


def run_on_ray(
    job: Job, numbers: Sequence[int], cluster: str, actors: int | None = None, patience: float = PATIENCE
) -> Iterator[Done]:
    """Caption shards with Ray, as they are done.

    Args:
        cluster: auto joins the one that runs (``ray start``, ``RAY_ADDRESS``), local starts one here.
        actors: at most so many; None: as many as the cluster has GPUs, or else CPUs.
        patience: seconds after which an actor that does not run any more, being stopped, is killed.

    Raises:
        CaptionerError: Ray is not installed, there is no cluster, or as of
            :func:`captioner.bulk.job.caption_into`.
    """
    ray = _connect(cluster)
    try:
        yield from _scheduled(ray, job, numbers, cluster, actors, patience)
    finally:
        ray.shutdown()


class Actor:
    """Captions the shards that Ray hands it, by their numbers."""

    def __init__(self, job: Job, patience: float) -> None:
        self.job, self.isolated = job, job.isolated(patience)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """What was done, or why no more can be: as a value, since Ray would retry an exception."""
        shard = self.job.manifest.shards[int(row["id"])]
        try:
            done = caption_into(self.job, shard, self.isolated)
        except CaptionerError as error:
            return {"shard": shard.name, "images": 0, "failed": 0, "refused": str(error)}
        images, failed = (0, 0) if done is None else (done.images, done.failed)
        return {"shard": shard.name, "images": images, "failed": failed, "refused": ""}


def _connect(cluster: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster that starts here: as the plain command
    try:
        import ray
        import ray.data
    except ImportError:
        raise CaptionerError("--ray: needs pip install 'captioner[ray]'") from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if cluster == "local":
            ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        else:
            ray.init("auto", **quiet)
    except Exception as error:  # Ray raises that itself, of a node that takes too long to start
        reason = str(error).partition("\n")[0].rstrip(".")
        hint = "; ray start --head starts one" if cluster == "auto" else ""
        raise CaptionerError(f"--ray: there is no {cluster} cluster ({reason}){hint}") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _scheduled(
    ray: Any, job: Job, numbers: Sequence[int], cluster: str, actors: int | None, patience: float
) -> Iterator[Done]:
    resources = ray.cluster_resources()
    gpus = 0 if job.settings.device.startswith("cpu") else int(resources.get("GPU", 0))
    most = max(1, min(len(numbers), actors or gpus or int(resources.get("CPU", 1))))
    least = most if cluster == "local" else 1  # a shared cluster gives them as it can
    asked: dict[str, Any] = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}
    rows = ray.data.from_items([{"id": number} for number in numbers], override_num_blocks=len(numbers))
    captioned = rows.map(
        Actor,
        fn_constructor_args=(job, patience),
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most, max_tasks_in_flight_per_actor=2),
        **asked,
    )
    for row in captioned.iter_rows():
        if row["refused"]:
            raise CaptionerError(row["refused"])
        if row["images"]:
            yield Done(row["shard"], row["images"], row["failed"])
