"""Where shards and images are: local paths, and addresses that fsspec opens (s3://, gs://, http://, ...)."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from captioner.errors import CaptionerError, printable

URL = re.compile(r"[a-z][a-z0-9+.-]*(://|::)", re.IGNORECASE)  # the latter chains, as in simplecache::s3://
BRACES = re.compile(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}")
SPAN = re.compile(r"(\d+)\.\.(\d+)")
MOST = 10**6  # places that one pattern may stand for


def is_url(place: str) -> bool:
    """Whether fsspec is to open it, rather than the operating system."""
    return URL.match(place) is not None


def absolute(place: str, folder: str = ".") -> str:
    """The place for a process that works elsewhere; a relative one starts at ``folder``."""
    if is_url(place):
        return place
    if is_url(folder):
        return f"{folder.rstrip('/')}/{place}"
    return os.path.abspath(os.path.join(folder, place))


def parent(place: str) -> str:
    """The folder of a file."""
    return place.rpartition("/")[0] if is_url(place) else os.path.dirname(place)


def expand(typed: str) -> list[str]:
    """The places that a pattern stands for, in order: ``{00000..00099}``, ``{a,b}``, ``*``, ``?``, ``[ab]``.

    What exists under the name as typed is that. Numbers between braces need not exist, so that a missing
    shard is reported rather than left out; what ``*`` matches is sorted.

    Raises:
        CaptionerError: a pattern matches nothing, or stands for more than ``MOST`` places.
    """
    if not is_url(typed) and os.path.lexists(typed):
        return [typed]
    places: list[str] = []
    for place in _without_braces(typed):
        places += _matched(place)
        if len(places) > MOST:
            raise CaptionerError(f"{printable(typed)}: stands for more than {MOST:,} places")
    return places


def _without_braces(typed: str) -> Iterator[str]:
    found = BRACES.search(typed)
    if found is None:
        yield typed
        return
    if span := SPAN.fullmatch(found[1]):
        first, last = int(span[1]), int(span[2])
        if last - first >= MOST:
            raise CaptionerError(f"{printable(typed)}: stands for more than {MOST:,} places")
        width = len(span[1]) if span[1].startswith("0") else 0
        choices: Iterator[str] = (f"{n:0{width}d}" for n in range(first, last + 1))
    else:
        choices = iter(found[1].split(","))
    for choice in choices:
        for rest in _without_braces(typed[found.end() :]):
            yield typed[: found.start()] + choice + rest


def _matched(place: str) -> list[str]:
    if is_url(place):
        if "*" not in place or place.lower().startswith("http"):  # where ? asks, and nothing can be listed
            return [place]
        system, path = file_system(place)
        found = [str(system.unstrip_protocol(name)) for name in sorted(system.glob(path))]
    elif not glob.has_magic(place) or os.path.lexists(place):
        return [place]
    else:
        found = sorted(itertools.islice(glob.iglob(place, recursive=True), MOST + 1))
    if not found:
        raise CaptionerError(f"{printable(place)}: matches nothing")
    return found


def open_place(place: str) -> BinaryIO:
    """A file to read bytes from, which can be sought.

    Raises:
        CaptionerError: it cannot be opened.
    """
    try:
        if not is_url(place):
            return open(place, "rb")
        system, path = file_system(place)
        opened: BinaryIO = system.open(path, "rb")
        return opened
    except CaptionerError:
        raise
    except Exception as error:  # every file system of fsspec has errors of its own
        raise CaptionerError(f"{printable(place)}: {_reason(error)}") from error


def read_place(place: str) -> bytes:
    """All bytes of a file.

    Raises:
        CaptionerError: it cannot be read.
    """
    with open_place(place) as file:
        try:
            return file.read()
        except Exception as error:
            raise CaptionerError(f"{printable(place)}: {_reason(error)}") from error


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it.

    Raises:
        CaptionerError: fsspec, or what it needs for addresses of this kind, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise CaptionerError(f"{printable(url)}: needs pip install 'captioner[ray]'") from None
    try:
        found: tuple[Any, str] = url_to_fs(url)
    except (ImportError, ValueError) as error:  # which names the package, or the protocols that there are
        raise CaptionerError(f"{printable(url)}: {_reason(error)}") from None
    return found


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
