"""Shards worked on by a child process, of which an image that kills it twice costs itself alone.

The images that the process was reading when it died are tried first, each alone. If it was none of them, it
died of something else than reading, and the image is found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from captioner.bulk.child import STALLED, Child, Died
from captioner.errors import CaptionerError, printable

DEATHS = 2  # at the same image, after which it is blamed, or looked for
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
        self._reading: set[int] = set()  # positions, when the process died last

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
        records = self._after_death(shard, rest, names, on_record)
        return found + [records[n] for n in rest]

    def _after_death(
        self,
        shard: Placed,
        positions: Sequence[int],
        names: Sequence[Sequence[str]],
        on_record: Callable[[], None],
    ) -> dict[int, Record]:
        """The records of images, by their positions, after the process died at the first ones."""
        records: dict[int, Record] = {}
        waiting = self._parts(positions, 1)  # the next one last; with each, how often the process died of it
        while waiting:
            part, deaths = waiting.pop()
            found: list[Record] = []
            ended = self._ends(shard, part, found, on_record)
            records |= zip(part, found)
            rest = part[len(found) :]
            deaths = 1 if found else deaths + 1
            if ended:
                for n in rest:
                    records[n] = _failed("was not found when its shard was read again", *names[n])
            elif len(rest) == 1 and deaths >= DEATHS:
                records[rest[0]] = self._killer(*names[rest[0]])
                waiting = [(part, 0) for part, _ in waiting]  # that explains the deaths up to now
                on_record()
            elif rest:
                waiting += self._parts(rest, deaths)
        return records

    def _parts(self, positions: Sequence[int], deaths: int) -> list[tuple[Sequence[int], int]]:
        """What to try after a death, the first last: images that were being read alone, or else halves."""
        if deaths >= DEATHS:
            half = len(positions) // 2
            return [(positions[half:], 0), (positions[:half], DEATHS - 1)]
        reading = [n for n in positions if n in self._reading]
        parts: list[tuple[Sequence[int], int]] = [([n], deaths) for n in reversed(reading)]
        others = [n for n in positions if n not in self._reading]
        return [(others, deaths), *parts] if others else parts

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
            self._how, self._reading = str(error), set(self.child.reading.values())
            return False

    def _killer(self, key: str, place: str) -> Record:
        record = _failed(f"its process died {DEATHS} times, {self._how}", key, place)
        self._killers += 1
        if self._killers > MOST_IN_A_ROW:
            error = record["error"]
            raise CaptionerError(f"{error}, as of {MOST_IN_A_ROW} images before it: is it the images?")
        return record

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


def _failed(reason: str, key: str, place: str) -> Record:
    return {"key": key, "place": place, "error": f"{printable(place)}: {reason}"}
