"""What a user types for images (files, folders, patterns, standard input) as image paths."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from captioner.data.photos.image import PHOTO_FORMATS, printable
from captioner.errors import CaptionerError

LONGEST_PATH = 2**16  # bytes


def find_images(paths: Iterable[str]) -> Iterator[Path]:
    """Expand what a user typed into image paths, in order and one at a time.

    - A folder stands for every file below it that has an image's extension, sorted; links to
      folders are not followed. Folders in it that cannot be listed are passed on at its end.
    - A pattern such as ``photos/**/*.jpg`` stands for such files among those it matches, sorted.
    - ``-`` stands for the paths on standard input, one per line.
    - Any other path is passed on, whether it exists or not, so that reading it reports what is wrong.

    Raises:
        CaptionerError: a folder or a pattern holds no image.
    """
    for path in paths:
        for typed in _standard_input() if path == "-" else [path]:
            if os.path.isdir(typed):
                closed: list[str] = []
                yield from _only_images(_walk(typed, closed), typed, closed)
            elif glob.has_magic(typed) and not os.path.lexists(typed):
                yield from _only_images(sorted(glob.iglob(typed, recursive=True)), typed)
            else:
                yield Path(typed)


def _standard_input() -> Iterator[str]:
    if sys.stdin is None:
        raise CaptionerError("-: standard input is closed")
    # bytes, as a file name may be in any encoding; anything without line ends is not a list of paths
    for line in iter(lambda: sys.stdin.buffer.readline(LONGEST_PATH), b""):
        if name := line.rstrip(b"\r\n"):
            yield os.fsdecode(name)


def _walk(folder: str, closed: list[str]) -> Iterator[str]:
    """The files below a folder; folders that cannot be listed are added to ``closed``."""
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(error.filename)):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(files))


def _only_images(candidates: Iterable[str], typed: str, closed: Sequence[str] = ()) -> Iterator[Path]:
    extensions = {end for end, name in Image.registered_extensions().items() if name in PHOTO_FORMATS}
    found = False
    for candidate in candidates:
        if os.path.splitext(candidate)[1].lower() in extensions and not os.path.isdir(candidate):
            found = True
            yield Path(candidate)
    yield from map(Path, closed)  # reading them reports why
    if not found and not closed:
        endings = ", ".join(sorted(extensions))
        raise CaptionerError(f"{printable(typed)}: no image in it, their names end in {endings}")
