"""Shards on a Ray cluster, or on all cores of this machine: Ray Data schedules, retries and scales.

An actor is a process that has a child which works on shards. Ray starts killed actors again with the shard
that they had. Ray Data's own checkpoints are not used: which outputs exist says what is done.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from captioner.bulk.schedule import Done, Work
from captioner.bulk.watch import beat, started
from captioner.data.photos.quiet import quiet_libraries
from captioner.errors import CaptionerError

CLUSTERS = ("auto", "local")
PATIENCE = 120.0  # seconds; then an actor that was stopped is killed


def run_on_ray(
    work: Work, numbers: Sequence[int], cluster: str, actors: int | None = None, patience: float = PATIENCE
) -> Iterator[Done]:
    """Do shards with Ray; each is told when it is done.

    Args:
        cluster: auto joins the one that runs (``ray start``, ``RAY_ADDRESS``), local starts one here.
        actors: at most so many; None: as many as the cluster has GPUs, or else CPUs.
        patience: seconds after which an actor that does not run any more, being stopped, is killed.

    Raises:
        CaptionerError: Ray is not installed, there is no cluster, or as of
            :meth:`captioner.bulk.schedule.Work.do`.
    """
    ray = _connect(cluster)
    try:
        yield from _scheduled(ray, work, numbers, cluster, actors, patience)
    finally:
        ray.shutdown()


class Actor:
    """Does the shards that Ray hands it, by their numbers."""

    def __init__(self, work: Work, patience: float, watch: Any) -> None:
        self.work, self.isolated = work, work.isolated(patience)
        beat(watch, self._processes, patience)
        with suppress(CaptionerError):  # asked for a shard, it is raised again
            self.isolated.child.start()  # which kills an actor that is stopped

    def _processes(self) -> list[int]:
        child = self.isolated.child.process
        return [os.getpid()] if child is None else [os.getpid(), child.pid]

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """What was done, or why no more can be: as a value, since Ray would retry an exception."""
        try:
            done = self.work.do(int(row["id"]), self.isolated) or Done("", 0)
        except CaptionerError as error:
            return {"shard": "", "images": 0, "failed": 0, "refused": str(error)}
        return {"shard": done.shard, "images": done.images, "failed": done.failed, "refused": ""}


def _connect(cluster: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # an error of ours is one line on standard error
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster that starts here: as the plain command
    try:
        import ray
        import ray.data
    except ImportError:
        raise CaptionerError("--ray: needs pip install 'captioner[ray]'") from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with quiet_libraries():  # which level they log at
            if cluster == "local":
                ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
            else:
                ray.init("auto", **quiet)
    except Exception as error:  # Ray raises that itself, of a node that takes too long to start
        reason = str(error).partition("\n")[0].rstrip(".")
        hint = "; ray start --head starts one" if cluster == "auto" else ""
        if _is_of_token(error):
            hint = "; it asks for a token: RAY_AUTH_MODE=token sends that of ~/.ray/auth_token"
        raise CaptionerError(f"--ray: there is no {cluster} cluster ({reason}){hint}") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _is_of_token(error: BaseException | None) -> bool:
    """Whether Ray was refused: its error says that it could not connect, and only those before it why."""
    while error is not None and "AuthenticationError" not in str(error):
        error = error.__cause__ or error.__context__
    return error is not None


def _scheduled(
    ray: Any, work: Work, numbers: Sequence[int], cluster: str, actors: int | None, patience: float
) -> Iterator[Done]:
    resources = ray.cluster_resources()
    gpus = 0 if work.device.startswith("cpu") else int(resources.get("GPU", 0))
    most = max(1, min(len(numbers), actors or gpus or int(resources.get("CPU", 1))))
    least = most if cluster == "local" else 1  # a shared cluster gives them as it can
    asked: dict[str, Any] = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}
    rows = ray.data.from_items([{"id": number} for number in numbers], override_num_blocks=len(numbers))
    finished = rows.map(
        Actor,
        fn_constructor_args=(work, patience, started(ray, patience)),
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most, max_tasks_in_flight_per_actor=2),
        **asked,
    )
    for row in finished.iter_rows():
        if row["refused"]:
            raise CaptionerError(row["refused"])
        if row["images"]:
            yield Done(row["shard"], row["images"], row["failed"])
