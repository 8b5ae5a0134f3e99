"""What a user types for images (files, folders, patterns, standard input) as image paths."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from captioner.data.photos.formats import extensions, missing_plugin
from captioner.data.photos.links import Links
from captioner.data.photos.nameless import is_nameless_image
from captioner.data.photos.written import Written
from captioner.errors import CaptionerError, printable

LONGEST_PATH = 2**16  # bytes
HIDDEN, EXCLUDED = "hidden or in a trash folder", "excluded"
LINK = "linked folders that are searched anyway"
OUTPUT, FIGURE = "in the output folder", "drawn by captioner"
# of NAS boxes, Windows, macOS archives and desktops; those that begin with a dot are hidden anyway
TRASH = {"@eadir", "#recycle", "$recycle.bin", "__macosx", "lost+found"}


@dataclass
class Finder:
    """Finds images, and counts what it leaves out.

    Attributes:
        recursive: whether a folder's subfolders are searched.
        exclude: patterns of names, or of whole paths if they contain a slash, that are left out.
        null_separated: whether paths on standard input end with a zero byte, as ``find -print0`` writes
            them, rather than with a line.
        outputs: folders that the command writes to, which hold no photos for it unless they are named.
        left_out: how many files were left out of folders, by kind: a file ending, or a reason; of an output
            folder only images count.
        empty: where to note folders and patterns that hold no image, which then are passed on among the
            paths; None: it is raised.
    """

    recursive: bool = True
    exclude: Sequence[str] = ()
    null_separated: bool = False
    outputs: Sequence[Path] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    empty: dict[Path, CaptionerError] | None = None

    def find(self, paths: Iterable[str]) -> Iterator[Path]:
        """Expand what a user typed into image paths, in order and one at a time.

        - A folder stands for every file below it that has an image's extension, or no known one and an
          image's first bytes, sorted. Links to folders are followed, unless what they lead to is searched
          anyway. Hidden files, trash and thumbnail folders are left out, and what the command wrote. Folders
          in it that cannot be listed are passed on at its end.
        - A pattern such as ``photos/**/*.jpg`` stands for such files among those it matches, sorted. A folder
          of the name comes first: ``holiday [2019]/*.jpg`` looks into that one.
        - ``-`` stands for the paths on standard input, one per line.
        - Any other path is passed on, whether it exists or not, so that reading it reports what is wrong.

        Raises:
            CaptionerError: a folder or a pattern holds no image, and this is not to be noted.
        """
        for path in paths:
            for typed in self._standard_input() if path == "-" else [path]:
                if os.path.isdir(typed):
                    closed: list[str] = []
                    written = Written(self.outputs, typed)
                    yield from self._only_images(self._walk(typed, closed, written), typed, written, closed)
                elif glob.has_magic(typed) and not os.path.lexists(typed):
                    pattern, folder = _as_pattern(typed)
                    written = Written(self.outputs, folder)
                    yield from self._only_images(self._matched(pattern, written), typed, written)
                else:
                    yield Path(typed)

    def _standard_input(self) -> Iterator[str]:
        if sys.stdin is None:
            raise CaptionerError("-: standard input is closed")
        # bytes, as a file name may be in any encoding
        lines = _split(sys.stdin.buffer, b"\0" if self.null_separated else b"\n")
        for line in lines:
            if name := line if self.null_separated else line.rstrip(b"\r"):
                yield os.fsdecode(name)

    def _matched(self, pattern: str, written: Written) -> Iterator[str]:
        """The files that a pattern matches, sorted."""
        inside: dict[str, bool] = {}
        matched = glob.glob(pattern, recursive=True)
        # brackets that choose among no names may be part of one
        for path in sorted(matched or glob.glob(re.sub(r"\[\[\]|\[", "[[]", pattern), recursive=True)):
            parent = os.path.dirname(path) or "."
            if parent not in inside:
                inside[parent] = written.holds(parent)
            if not inside[parent]:
                yield path
            elif _is_image(path):
                self.left_out[OUTPUT] += 1

    def _walk(self, folder: str, closed: list[str], written: Written) -> Iterator[str]:
        """The files below a folder; folders that cannot be listed are added to ``closed``."""
        links = Links(folder)
        walk = os.walk(folder, onerror=lambda error: closed.append(error.filename), followlinks=True)
        for parent, folders, files in walk:
            if not self.recursive:
                folders.clear()
            folders.sort()
            for name in list(folders):
                path = os.path.join(parent, name)
                kind = HIDDEN if _is_hidden(name) else EXCLUDED if self._is_excluded(path) else None
                if kind is not None:
                    folders.remove(name)
                    self.left_out[kind] += sum(len(below) for _, _, below in os.walk(path))
                elif links.leads_back(path):
                    folders.remove(name)
                    self.left_out[LINK] += 1
                elif written.holds(path):
                    folders.remove(name)
                    images = sum(_is_image(file) for _, _, below in os.walk(path) for file in below)
                    self.left_out[OUTPUT] += images
            for name in sorted(files):
                if _is_hidden(name):
                    self.left_out[HIDDEN] += 1
                else:
                    yield os.path.join(parent, name)

    def _only_images(
        self, candidates: Iterable[str], typed: str, written: Written, closed: Sequence[str] = ()
    ) -> Iterator[Path]:
        found = False
        for candidate in candidates:
            if os.path.isdir(candidate):
                continue
            if self._is_excluded(candidate):
                self.left_out[EXCLUDED] += 1
            elif written.is_figure(candidate):
                self.left_out[FIGURE] += 1
            elif _is_image(candidate) or is_nameless_image(candidate):
                found = True
                yield Path(candidate)
            else:
                self.left_out[_ending(candidate) or "without an ending"] += 1
        yield from map(Path, closed)  # reading them reports why
        if not found and not closed:
            error = CaptionerError(f"{printable(typed)}: no image in it{self._reason()}")
            if self.empty is None:
                raise error
            self.empty[Path(typed)] = error
            yield Path(typed)

    def _is_excluded(self, path: str) -> bool:
        name = os.path.basename(path)
        return any(fnmatch.fnmatch(path if "/" in pattern else name, pattern) for pattern in self.exclude)

    def _reason(self) -> str:
        account = f" ({told})" if (told := self.account()) else ""
        return f", their names end in {', '.join(sorted(extensions()))}{account}"

    def account(self) -> str:
        """What was left out, in one line; empty if nothing was."""
        told = []
        for kind, count in (+self.left_out).most_common():
            plugin = missing_plugin(kind)
            told.append(f"{count:,} {kind}" + (f" (pip install {plugin})" if plugin else ""))
        return "left out: " + ", ".join(told) if told else ""


def find_images(paths: Iterable[str]) -> Iterator[Path]:
    """The images that :class:`Finder` finds with its defaults."""
    return Finder().find(paths)


def _as_pattern(typed: str) -> tuple[str, str]:
    """The pattern with the folder that it begins with taken literally, and that folder."""
    folder = os.path.dirname(typed)
    while folder and glob.has_magic(folder) and (re.search("[*?]", folder) or not os.path.isdir(folder)):
        folder = os.path.dirname(folder)
    return glob.escape(folder) + typed[len(folder) :], folder or "."


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _is_image(name: str) -> bool:
    return _ending(name) in extensions()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in TRASH


def _split(file: BinaryIO, end: bytes) -> Iterator[bytes]:
    """What stands between ends, as it comes; what is too long to be a path is cut into pieces."""
    held, read = b"", getattr(file, "read1", file.read)  # read1 does not wait for a whole block
    while block := read(LONGEST_PATH):
        *whole, held = (held + block).split(end)
        yield from whole
        if len(held) > LONGEST_PATH:
            yield held[:LONGEST_PATH]
            held = b""
    if held:
        yield held
