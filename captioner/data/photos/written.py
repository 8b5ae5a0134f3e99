"""What a command writes among the photos that it reads: its folders, and its figures by a mark in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from captioner.system.outputs import file_id

MARK = "captioner"  # in a PNG's text "Software", and in a GIF's comment
MARKED = (".png", ".apng", ".gif")


class Written:
    """What a scan of a folder leaves out, as the command writes there.

    Folders are compared by identity when they are scanned, since a command may make them meanwhile. Photos
    of an output folder that a user names as the input are read, except for the figures there.

    Args:
        outputs: folders that the command writes to, whether they exist or not.
        root: the folder that is scanned.
    """

    def __init__(self, outputs: Sequence[Path], root: str) -> None:
        self._outputs = [output for output in outputs if not _is_within(root, output)]
        self._shared = [output for output in outputs if output not in self._outputs]

    def holds(self, folder: str) -> bool:
        """Whether a folder is one of the outputs, or in one."""
        return any(_is_within(folder, output) for output in self._outputs)

    def is_figure(self, file: str) -> bool:
        """Whether a file that stands among the photos was drawn by this program."""
        if not self._shared or not file.lower().endswith(MARKED):
            return False
        folder = file_id(os.path.dirname(file) or ".")
        if folder not in map(file_id, self._shared):
            return False
        try:
            with Image.open(file) as image:
                return MARK in (image.info.get("Software"), _decoded(image.info.get("comment")))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return False  # reading it as a photo reports what is wrong


def _is_within(path: str, folder: Path) -> bool:
    """Whether ``path`` is the folder or below it, by whatever names."""
    target = file_id(folder)
    return target is not None and any(file_id(above) == target for above in _ancestors(path))


def _ancestors(path: str) -> Iterator[Path]:
    real = Path(os.path.realpath(path))
    yield real
    yield from real.parents


def _decoded(comment: object) -> object:
    return comment.decode("latin-1") if isinstance(comment, bytes) else comment
