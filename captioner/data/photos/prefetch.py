"""Images loaded by threads ahead of the model.

Decoders and resizing release Python's lock, so threads do what processes would, without starting or
copying anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def prefetched(
    sources: Iterable[S], load: Callable[[S], T], batch_size: int, workers: int
) -> Iterator[list[T]]:
    """Batches of ``load(source)`` in order; at most two batches are held, or two sources per worker.

    Args:
        workers: threads; with 0 each batch is loaded on demand.
    """
    remaining = iter(sources)
    if not workers:
        while batch := [load(source) for source in islice(remaining, batch_size)]:
            yield batch
        return
    pool, ahead = ThreadPoolExecutor(workers), 2 * max(batch_size, workers)
    waiting: deque[Future[T]] = deque()

    def fill() -> None:
        for source in islice(remaining, ahead - len(waiting)):
            waiting.append(pool.submit(load, source))

    try:
        fill()
        while waiting:
            batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
            fill()
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)  # no longer needed
