"""What is captioned, cut into shards: a tar each, or a few thousand lines of a list or rows of a table."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from captioner.bulk.kinds import ENDINGS, LIST, TABLE, TAR, kind_of
from captioner.bulk.places import absolute, expand, file_system, is_url, open_place
from captioner.bulk.tables import count_rows
from captioner.data.photos.find import Finder
from captioner.data.photos.formats import extensions
from captioner.errors import CaptionerError, printable

FOUND = "found.txt"  # in the output folder: the images of folders
Reads = Callable[[int], None]  # is told the position of an image before it is read


@dataclass(frozen=True)
class Shard:
    """Images that are captioned together, into one output.

    Attributes:
        name: of its output, without the ending.
        kind: tar, list or table.
        place: of the tar, the list or the table.
        start: the first of its lines or rows.
        count: how many images it has; None of a tar, which is read once only.
        offset: of a list: the byte at which its lines begin.
        digest: of a list: SHA-256 of its lines.
    """

    name: str
    kind: str
    place: str
    start: int = 0
    count: int | None = None
    offset: int = 0
    digest: str = ""


def plan(
    typed: Iterable[str], size: int, output: Path, finder: Finder, column: str | None = None
) -> tuple[list[Shard], bytes]:
    """The shards of a command line, in order, and the list of the images of its folders.

    That list is to be written to ``output / FOUND`` before the shards are read.

    Args:
        size: lines or rows of a shard.
        finder: finds the images of local folders.
        column: of tables.

    Raises:
        CaptionerError: a list or a table cannot be read, a pattern matches nothing, a folder has no image.
    """
    shards: list[Shard] = []
    listing = io.BytesIO()
    places = (place for pattern in typed for place in expand(pattern))
    for kind, group in itertools.groupby(places, kind_of):
        if kind is None:
            shards += _listed(group, size, output, finder, listing)
            continue
        for place in map(absolute, group):
            if kind == TAR:
                shards.append(Shard(_stem(place), TAR, place))
            elif kind == TABLE:
                shards += _rows(place, size, column)
            else:
                with open_place(place) as file:
                    shards += _lines(file, place, size)
    if not shards:
        raise CaptionerError("caption: the inputs hold no image")
    return _named(shards), listing.getvalue()


def read_lines(shard: Shard) -> list[str]:
    """The lines of a shard of a list.

    Raises:
        CaptionerError: they cannot be read, or are not those that were planned.
    """
    with open_place(shard.place) as file:
        file.seek(shard.offset)
        lines = list(itertools.islice(_full(file), shard.count))
    if _digest(lines) != shard.digest:
        raise CaptionerError(f"{printable(shard.place)}: was changed since its shards were planned")
    return [os.fsdecode(line) for line, _ in lines]


def _listed(
    places: Iterable[str], size: int, output: Path, finder: Finder, listing: BinaryIO
) -> Iterator[Shard]:
    begin, first = listing.tell(), listing.tell()
    for place in places:
        for image in _images(place, finder):
            if "\n" in image:
                raise CaptionerError(f"{printable(image)}: has a line break in its name; --exclude it")
            listing.write(os.fsencode(absolute(image)) + b"\n")
    listing.seek(first)
    for shard in _lines(listing, os.path.abspath(output / FOUND), size):
        yield replace(shard, offset=begin + shard.offset - first)
    listing.seek(0, os.SEEK_END)


def _images(place: str, finder: Finder) -> Iterator[str]:
    if not is_url(place):
        yield from map(str, finder.find([place]))
    elif not place.endswith("/"):
        yield place
    else:
        system, path = file_system(place)
        found = [name for name in sorted(system.find(path)) if name.lower().endswith(tuple(extensions()))]
        if not found:
            raise CaptionerError(f"{printable(place)}: no image in it")
        yield from (str(system.unstrip_protocol(name)) for name in found)


def _full(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Lines that are not empty, without their ends, and how many bytes were read up to the end of each."""
    taken = 0
    for line in file:
        taken += len(line)
        if line := line.rstrip(b"\r\n"):
            yield line, taken


def _lines(file: BinaryIO, place: str, size: int) -> Iterator[Shard]:
    lines, start, offset, base = _full(file), 0, file.tell(), file.tell()
    while piece := list(itertools.islice(lines, size)):
        name = f"{_stem(place)}-{start // size:05d}"
        yield Shard(name, LIST, place, start, len(piece), offset, _digest(piece))
        start, offset = start + len(piece), base + piece[-1][1]


def _digest(lines: Sequence[tuple[bytes, int]]) -> str:
    return hashlib.sha256(b"\n".join(line for line, _ in lines)).hexdigest()


def _rows(place: str, size: int, column: str | None) -> Iterator[Shard]:
    rows = count_rows(place, column)
    for start in range(0, rows, size):
        name = f"{_stem(place)}-{start // size:05d}"
        yield Shard(name, TABLE, place, start, min(size, rows - start))


def _stem(place: str) -> str:
    """A file's name without its ending, as it may be part of any file's name."""
    name = place.partition("?")[0].rstrip("/").rpartition("/")[2]
    for ending in itertools.chain(*ENDINGS.values()):
        name = name.removesuffix(ending)
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:100] or "shard"


def _named(shards: Sequence[Shard]) -> list[Shard]:
    """The shards with names of their own, numbered where two would share one."""
    counts = Counter(shard.name.casefold() for shard in shards)
    if max(counts.values()) == 1:
        return list(shards)
    return [replace(shard, name=f"{number:05d}-{shard.name}") for number, shard in enumerate(shards)]
