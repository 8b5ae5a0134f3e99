"""A pure function from a shard to its records: the same in this process, in a child or in an actor."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from captioner.bulk.kinds import LIST, TAR
from captioner.bulk.places import absolute, is_url, parent, read_place
from captioner.bulk.shards import Reads, Shard, read_lines
from captioner.bulk.tables import rows
from captioner.bulk.tars import members
from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.errors import CaptionerError

Record = dict[str, Any]  # key, place; caption, words, log_prob; or error


@dataclass(frozen=True)
class Settings:
    """How shards are captioned.

    Attributes:
        checkpoint: model files.
        model: the SHA-256 of each.
        column: of tables; None: the first of the usual ones.
    """

    checkpoint: Sequence[str] = ()
    model: Sequence[str] = ()
    device: str = "auto"
    search: SearchConfig = field(default_factory=SearchConfig)
    batch_size: int = SEARCHED_TOGETHER
    workers: int = 2
    accept_truncated: bool = False
    column: str | None = None
    precision: str = "auto"


class Predicts(Protocol):
    """What is needed of :class:`captioner.predictor.Predictor`."""

    def caption_many(
        self, images: Iterable[Any], options: SearchConfig, attention: bool, batch_size: int, workers: int
    ) -> Iterator[Any]: ...


class Image(NamedTuple):
    """An image of a shard: what it is called, where it is, and how its bytes are had."""

    key: str
    place: str
    load: Callable[[], Any]


class _Named(io.BytesIO):
    """Bytes that messages call by their place."""

    name = ""


def caption_shard(
    shard: Shard,
    predictor: Predicts,
    settings: Settings,
    positions: Sequence[int] | None = None,
    reads: Reads = lambda position: None,
) -> Iterator[Record]:
    """One record per image, in order, each as soon as its batch is done.

    A shard that cannot be read, or not to its end, has an error with an empty key in the place of the rest.

    Args:
        positions: of images in the shard, rising; None: all.
        reads: as of :class:`captioner.bulk.process.Worker`.
    """
    waiting: list[Image] = []  # read ahead by a batch or two

    def sources() -> Iterator[Callable[[], Any]]:
        numbers = itertools.count() if positions is None else positions
        for number, image in zip(numbers, images(shard, settings.column, positions)):
            waiting.append(image)
            yield partial(_told, image.load, number, reads)

    results = predictor.caption_many(sources(), settings.search, False, settings.batch_size, settings.workers)
    for result in results:
        image = waiting.pop(0)
        record: Record = {"key": image.key, "place": image.place}
        if isinstance(result, CaptionerError):
            yield record | {"error": str(result)}
        else:
            words = {"caption": result.text, "words": list(result.words)}
            yield record | words | {"log_prob": round(result.log_prob, 4)}


def images(
    shard: Shard, column: str | None = None, positions: Sequence[int] | None = None
) -> Iterator[Image]:
    """The images of a shard; those of a list are opened only when they are loaded."""
    wanted = None if positions is None else set(positions)
    try:
        found = _images(shard, column, wanted)
        for number, image in enumerate(found):
            if wanted is None or number in wanted:
                yield image
    except CaptionerError as error:
        yield Image("", shard.place, _raises(error))


def _images(shard: Shard, column: str | None, wanted: set[int] | None) -> Iterator[Image]:
    if shard.kind == TAR:
        needed = None if wanted is None else wanted.__contains__
        for key, place, data in members(shard.place, needed):
            yield Image(key, place, _bytes(data, place))
    elif shard.kind == LIST:
        folder = parent(shard.place)
        for line in read_lines(shard):
            place = absolute(line, folder)
            yield Image(line, place, _at(place))
    else:
        assert shard.count is not None
        numbered = rows(shard.place, shard.start, shard.count, column)
        for key, place, content in itertools.islice(numbered, shard.count):
            yield Image(key, place, _at(place) if content is None else _bytes(content, place))


def _told(load: Callable[[], Any], number: int, reads: Reads) -> Any:
    reads(number)
    return load()


def _raises(error: CaptionerError) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def _bytes(data: bytes | CaptionerError, place: str) -> Callable[[], Any]:
    def load() -> Any:
        if isinstance(data, CaptionerError):
            raise data
        named = _Named(data)
        named.name = place
        return named

    return load


def _at(place: str) -> Callable[[], Any]:
    """Loaded by the threads that decode, so that addresses are fetched side by side."""
    return lambda: _bytes(read_place(place), place)() if is_url(place) else Path(place)
