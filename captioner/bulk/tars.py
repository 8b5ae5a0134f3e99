"""The images of a WebDataset tar, read once from its beginning to its end."""

from __future__ import annotations

import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from captioner.bulk.places import open_place
from captioner.data.photos.formats import extensions
from captioner.errors import CaptionerError, printable


class Member(NamedTuple):
    """An image of a tar.

    Attributes:
        key: its name up to the first dot, which WebDataset's samples share; empty for the tar itself.
        place: where fsspec finds it.
        data: its bytes, or what is wrong with it.
    """

    key: str
    place: str
    data: bytes | CaptionerError


class _Header(tarfile.TarInfo):
    """A header that remembers how the last one ended; tarfile takes a damaged one for the end of the tar."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            tar.captioner_end = error  # type: ignore[attr-defined]
            raise


def members(place: str, wanted: Any = None) -> Iterator[Member]:
    """The images of a tar in order, and at the end one error of the tar itself if it is cut short or damaged.

    Hidden files, such as those that macOS adds, are left out.

    Args:
        place: a path or an address of a tar, perhaps compressed.
        wanted: ``wanted(n)`` says whether the bytes of image ``n`` are needed; None: all are.
    """
    number = -1
    try:
        with open_place(place) as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=_Header) as tar:
            for header in tar:
                if not header.isfile() or not _is_image(header.name):
                    continue
                number += 1
                yield _member(tar, header, place, wanted is None or wanted(number))
            end = getattr(tar, "captioner_end", None)
            if not isinstance(end, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise tarfile.ReadError("is cut short, or damaged")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        reason = f"{_text(error)} after {number + 1:,} images"
        yield Member("", place, CaptionerError(f"{printable(place)}: {reason}"))
    except CaptionerError as error:
        yield Member("", place, error)


def _member(tar: tarfile.TarFile, header: tarfile.TarInfo, place: str, wanted: bool) -> Member:
    name = header.name.removeprefix("./")
    folder, file = posixpath.split(name)
    key = posixpath.join(folder, file.partition(".")[0])
    found = f"tar://{name}::{place}"
    if not wanted:
        return Member(key, found, b"")
    try:
        opened = tar.extractfile(header)
        data = b"" if opened is None else opened.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        data = b""
    if len(data) < header.size:
        return Member(key, found, CaptionerError(f"{printable(found)}: the tar is cut short within it"))
    return Member(key, found, data)


def _is_image(name: str) -> bool:
    base = posixpath.basename(name)
    return not base.startswith(".") and posixpath.splitext(base)[1].lower() in extensions()


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
