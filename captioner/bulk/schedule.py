"""Work that is divided into shards: what a scheduler needs to know of it, and the plainest scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from captioner.bulk.isolation import Isolated


@dataclass(frozen=True)
class Done:
    """A shard that was worked on: how many images it has, and how many of them have errors."""

    shard: str
    images: int
    failed: int = 0


class Work(Protocol):
    """What can be done shard by shard, in any process to which it can be sent."""

    @property
    def device(self) -> str: ...

    def isolated(self, patience: float | None = None) -> Isolated:
        """A process that works on shards; for the argument see :class:`captioner.bulk.child.Child`."""

    def do(
        self, number: int, isolated: Isolated, on_record: Callable[[], None] = lambda: None
    ) -> Done | None:
        """Write the output of a shard whole; None if there is nothing to do.

        Raises:
            CaptionerError: the output cannot be written, or the process not be started.
        """


def run(work: Work, numbers: Sequence[int], on_record: Callable[[], None] = lambda: None) -> Iterator[Done]:
    """Do shards in this process's child, one after another.

    Raises:
        CaptionerError: as :meth:`Work.do`.
    """
    with work.isolated() as isolated:
        for number in numbers:
            if (done := work.do(number, isolated, on_record)) is not None:
                yield done
