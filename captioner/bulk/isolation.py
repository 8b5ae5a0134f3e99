"""Shards worked on by a child process; an image that kills it twice is found by halving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from captioner.bulk.child import STALLED, Child, Died
from captioner.errors import CaptionerError, printable

DEATHS = 2  # at the same image, after which it is looked for
MOST_IN_A_ROW = 8  # images that kill; more, and it is not the images


Record = dict[str, Any]


class Placed(Protocol):
    """A shard, as far as it matters here: a dataclass of plain values."""

    @property
    def place(self) -> str: ...


class Isolated:
    """Works on shards in a child process, whose deaths it survives; the arguments are those of the child."""

    def __init__(
        self,
        settings: Any,
        command: Sequence[str],
        stalled: float = STALLED,
        patience: float | None = None,
    ) -> None:
        self.settings = settings
        self.child = Child(settings, command, stalled, patience)
        self._killers, self._how = 0, ""

    def records(
        self,
        shard: Placed,
        positions: Sequence[int] | None = None,
        on_record: Callable[[], None] = lambda: None,
    ) -> list[Record]:
        """The records of a shard's images, in order.

        Args:
            positions: of images, rising; None: all.
            on_record: is called for each.

        Raises:
            CaptionerError: the model cannot be loaded, or the process dies without an image's doing.
        """
        found: list[Record] = []
        if self._ends(shard, positions, found, on_record):
            return found
        names = self._names(shard)
        rest = (range(len(names)) if positions is None else positions)[len(found) :]
        return found + self._rest(shard, rest, names, 1, on_record)

    def _rest(
        self,
        shard: Placed,
        positions: Sequence[int],
        names: Sequence[Sequence[str]],
        deaths: int,
        on_record: Callable[[], None],
    ) -> list[Record]:
        """The records of images among which may be one that kills, ``deaths`` times so far at the first."""
        found: list[Record] = []
        if not positions or self._ends(shard, positions, found, on_record):
            return found
        rest = positions[len(found) :]
        deaths = 1 if found else deaths + 1
        if deaths < DEATHS or not rest:
            return found + self._rest(shard, rest, names, deaths, on_record)
        if len(rest) == 1:
            on_record()
            return [*found, self._killer(*names[rest[0]])]
        half = len(rest) // 2
        found += self._rest(shard, rest[:half], names, DEATHS - 1, on_record)
        return found + self._rest(shard, rest[half:], names, 0, on_record)

    def _ends(
        self,
        shard: Placed,
        positions: Sequence[int] | None,
        found: list[Record],
        on_record: Callable[[], None],
    ) -> bool:
        """Add records to ``found``; returns False if the process died on the way."""
        try:
            self.child.ask("records", shard, positions)
            while "record" in (answer := self.child.answer()):
                found.append(answer["record"])
                self._killers = 0
                on_record()
            return True
        except Died as error:
            self._how = str(error)
            return False

    def _killer(self, key: str, place: str) -> Record:
        error = f"{printable(place)}: its process died {DEATHS} times, {self._how}"
        self._killers += 1
        if self._killers > MOST_IN_A_ROW:
            raise CaptionerError(f"{error}, as of {MOST_IN_A_ROW} images before it: is it the images?")
        return {"key": key, "place": place, "error": error}

    def _names(self, shard: Placed) -> list[list[str]]:
        """The key and the place of each image."""
        for _ in range(DEATHS):
            try:
                self.child.ask("names", shard)
                names: list[list[str]] = self.child.answer()["names"]
                return names
            except Died as error:
                self._how = str(error)
        raise CaptionerError(
            f"{printable(shard.place)}: the process that lists it died {DEATHS} times, {self._how}"
        )

    def close(self) -> None:
        """End the process."""
        self.child.close()

    def __enter__(self) -> Isolated:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
