"""Caption files and image folders, read so that every fault is reported with its place.

A fault is raised, so that the first one ends the reading, or, to collect them all, it is noted and
the entry that has it is left out.
"""

from __future__ import annotations

import codecs
import json
import os
import reprlib
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

from captioner.data.formats.listed import looks_like_list
from captioner.data.formats.seen import saw
from captioner.errors import CaptionerError, choose

T = TypeVar("T")
S = TypeVar("S")

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
JSON_NAMES = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}
MALFORMED, SPLIT = "malformed entries", "splits that cannot be read"
NO_FILE, TWICE = "missing image files", "images that are listed twice"
NO_CAPTION, EMPTY, NO_IMAGE = "images without caption", "empty captions", "captions without image"
CUT_SHORT, UNREADABLE = "rows that are cut short", "unreadable images"
# what data.skip_incomplete leaves out
INCOMPLETE = (NO_FILE, NO_CAPTION, EMPTY, NO_IMAGE, CUT_SHORT, UNREADABLE)


class Fault(CaptionerError):
    """What is wrong with one entry of a caption file.

    Attributes:
        kind: what such faults are called in a report.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


Faults = list[CaptionerError] | None  # where faults are noted; None: they are raised
Notes = list[str] | None  # where a reader tells what it decided by itself, in lines; None: nobody listens


@contextmanager
def noted(faults: Faults) -> Iterator[None]:
    """Read one entry; what is wrong with it is raised, or noted if ``faults`` are collected."""
    try:
        yield
    except CaptionerError as error:
        if faults is None:
            raise
        faults.append(error)


def read_text(path: Path, key: str) -> str:
    """The text of a file, line ends as they are, a byte order mark left out.

    It is UTF-8, or UTF-16 with such a mark, as Excel's "Unicode Text" has it.

    Args:
        key: the config key that names the file, e.g. ``data.train``.

    Raises:
        CaptionerError: the file is not there, not readable or neither.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may be read without end
            raise CaptionerError(f"{key}: {path} is not a file")
        saw(path)
        content = path.read_bytes()
    except FileNotFoundError:
        raise CaptionerError(f"{key}: there is no file {path}") from None
    except OSError as error:
        raise CaptionerError(f"{key}: {path} cannot be read ({error.strerror})") from None
    try:
        if b"\0" in content[:6] and not content.startswith(UTF_16):  # a spreadsheet's own file, for one
            raise CaptionerError(f"{path}:1: is not UTF-8 text, save the file as UTF-8")
        return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CaptionerError(f"{path}:{line}: is not UTF-8 text, save the file as UTF-8") from None


def text_lines(path: Path, key: str) -> list[str]:
    """The lines of a text file, blank ones too, whatever their ends are."""
    # Not splitlines(): it also splits at U+2028, which may stand inside a caption.
    return read_text(path, key).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_lines(path: Path, key: str) -> Iterator[tuple[str, str]]:
    """Every line that is not blank, stripped, after its place ``file:line``."""
    for number, line in enumerate(text_lines(path, key), start=1):
        if line := line.strip():
            yield f"{path}:{number}", line


def read_json(path: Path, key: str) -> Any:
    """The parsed content of a JSON file."""
    return parse_json(read_text(path, key), str(path))


def parse_json(text: str, place: str) -> Any:
    """Parse JSON found at ``place``, a file or ``file:line``."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} column {error.colno}"
        raise CaptionerError(f"{place}: is not valid JSON ({error.msg} at {at})") from None
    except ValueError as error:  # a number of thousands of digits
        raise CaptionerError(f"{place}: is not usable JSON ({error})") from None
    except RecursionError:
        raise CaptionerError(f"{place}: is not usable JSON (nested too deeply)") from None


@overload
def entry(item: Any, key: str, kinds: type[T], place: str) -> T: ...
@overload
def entry(item: Any, key: str, kinds: tuple[type[T], type[S]], place: str) -> T | S: ...
def entry(item: Any, key: str, kinds: Any, place: str) -> Any:
    """``item[key]``, where ``item`` is a parsed JSON object and its value of one of ``kinds``.

    Raises:
        CaptionerError: ``item`` is not an object, has no such key, or the value is of another type.
    """
    if not isinstance(item, dict):
        raise CaptionerError(f"{place}: must be an object, not {reprlib.repr(item)}")
    if key not in item:
        there = ", ".join(list(item)[:10]) + (", ..." if len(item) > 10 else "")
        raise CaptionerError(f"{place}: has no {key!r}, only {there or 'nothing'}")
    value = item[key]
    if not isinstance(value, kinds) or isinstance(value, bool):
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        names = " or ".join(JSON_NAMES[kind] for kind in wanted)
        raise CaptionerError(f"{place}: {key!r} must be {names}, not {reprlib.repr(value)}")
    return value


def clean_caption(caption: str, place: str) -> str:
    """The caption without white space around it, and with spaces for control characters.

    Raises:
        CaptionerError: it holds no letter and no digit, so no word could be learnt from it, or half a
            character, which no file could be written with; or it is a list of captions.
    """
    if looks_like_list(caption):
        raise CaptionerError(f"{place}: {reprlib.repr(caption)} is not a caption, nor a list of them")
    if not any(map(str.isalnum, caption)):
        raise Fault(EMPTY, f"{place}: the caption {reprlib.repr(caption)} has no words")
    if any("\ud800" <= character <= "\udfff" for character in caption):
        raise CaptionerError(f"{place}: the caption {reprlib.repr(caption)} holds half a character")
    if not caption.isprintable():  # they would end up inside words, and on terminals
        caption = "".join(" " if unicodedata.category(c) == "Cc" else c for c in caption)
    return caption.strip()


def file_of(files: Mapping[str, str | None], split: str) -> str:
    """The caption file that is configured for a split.

    Raises:
        CaptionerError: there is no such split, or no file is set for it.
    """
    file = choose(files, split, "split")
    if file is None:
        there = ", ".join(name for name, file in files.items() if file is not None) or "none"
        raise CaptionerError(f"data.{split}: no file is set; splits that have one: {there}")
    return file


class ImageFolder:
    """A folder in which image files are looked up by name, without opening them.

    Each folder is listed once, since asking for thousands of files singly is slow on network disks.

    Args:
        root: the folder that names are relative to.
        key: the config key that names it, e.g. ``data.images``.
    """

    def __init__(self, root: Path, key: str) -> None:
        if not root.is_dir():
            raise CaptionerError(f"{key}: there is no folder {root}")
        self.root = root
        self.key = key
        self._names: dict[Path, set[str]] = {}
        self._endings: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str, place: str) -> Path:
        """The path of the image file ``name``, which is mentioned at ``place``, perhaps without its ending.

        Accents may be encoded otherwise, and folders be divided as Windows does, where no file has the name.

        Raises:
            CaptionerError: there is no such file.
        """
        for spelled in _spellings(name):
            if (path := self._there(self.root / spelled)) is not None:
                return path
        missing = f"{place}: there is no image file {str(self.root / name)!r} ({self.key})"
        raise Fault(NO_FILE, f"{missing}; data.skip_incomplete=true leaves out what is missing")

    def _there(self, path: Path) -> Path | None:
        """The file at a path, or the only one that the path lacks just the ending of."""
        try:
            # The second question is for file systems that don't mind upper and lower case.
            if path.name in self._listing(path.parent) or path.is_file():
                return path
            ending = self._ending(path)
        except (OSError, ValueError):
            return None
        return path.with_name(path.name + ending) if ending else None

    def _ending(self, path: Path) -> str:
        """What a name lacks to be that of the only file which begins with it and a dot; empty if nothing."""
        if path.parent not in self._endings:
            endings: dict[str, list[str]] = {}
            for name in self._listing(path.parent):
                stem, ending = os.path.splitext(name)
                endings.setdefault(stem, []).append(ending)
            self._endings[path.parent] = endings
        found = self._endings[path.parent].get(path.name, ())
        return found[0] if len(found) == 1 else ""

    def _listing(self, folder: Path) -> set[str]:
        if folder not in self._names:
            saw(folder)
            with os.scandir(folder) as items:
                self._names[folder] = {item.name for item in items if _is_file(item)}
        return self._names[folder]


def _spellings(name: str) -> dict[str, None]:
    """A name as it stands, then as macOS and Linux encode its accents, and with Windows' separators."""
    turned = name.replace("\\", "/")
    composed, divided = unicodedata.normalize("NFC", turned), unicodedata.normalize("NFD", turned)
    return dict.fromkeys([name, turned, composed, divided])


def _is_file(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_file()
    except OSError:  # a link to itself, or into a folder that is closed to us
        return False
