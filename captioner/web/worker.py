"""One thread that captions: photos that wait with the same options go through the model together."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from threading import Condition, Thread
from typing import NamedTuple

from captioner.caption import Caption
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError
from captioner.predictor import Predictor


class Job(NamedTuple):
    photo: bytes
    options: SearchConfig
    future: Future[Caption]


class Worker:
    """Captions photos in the order in which they come, as many at a time as wait.

    Args:
        batch_size: largest number of photos per batch.
    """

    def __init__(self, predictor: Predictor, batch_size: int = 16) -> None:
        self.predictor = predictor
        # where attention draws its locations, a draw depends on the others in the batch
        draws = any(model.decoder.attention.look.draws for model in predictor.models)
        self.batch_size = 1 if draws else batch_size
        self._jobs: deque[Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="captions")
        self._thread.start()

    def submit(self, photo: bytes, options: SearchConfig) -> Future[Caption]:
        """Queue a photo; its future has the caption or the error, and can be cancelled while it waits."""
        future: Future[Caption] = Future()
        with self._changed:
            self._jobs.append(Job(photo, options, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Caption what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            wanted = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if wanted:
                self._caption(wanted)
            del batch, wanted  # or their photos would be held until others come

    def _next(self) -> list[Job]:
        """The job that has waited longest and those that can go with it; none when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return []
            options = self._jobs[0].options
            size = 1 if options.strategy == "sample" else self.batch_size
            batch = [job for job in self._jobs if job.options == options][:size]
            taken = set(map(id, batch))
            self._jobs = deque(job for job in self._jobs if id(job) not in taken)
            return batch

    def _caption(self, jobs: list[Job]) -> None:
        photos, options = [job.photo for job in jobs], jobs[0].options
        try:
            results = list(self.predictor.caption_many(photos, options, True, len(jobs)))
        except Exception as error:  # a bug, or no memory left: only whose photo it is shall suffer
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:
                self._caption([job])
            return
        for job, result in zip(jobs, results):
            if isinstance(result, CaptionerError):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
