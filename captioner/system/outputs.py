"""What a command may write to: never its own inputs, and nothing that exists unless the user says so."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from captioner.errors import CaptionerError

FileId = tuple[int, int]  # device and number, the same by whatever name a file is reached


def file_id(path: str | Path) -> FileId | None:
    """What identifies a file under all its names (links, ``..``, other cases); None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # the latter for a zero byte in a path
        return None
    return status.st_dev, status.st_ino


def refuse_input(output: Path, inputs: Iterable[str | Path], key: str) -> None:
    """Refuse an output that is one of the inputs, by any name.

    Raises:
        CaptionerError: names both.
    """
    target = file_id(output)
    for source in inputs if target else ():
        if file_id(source) == target:
            same = "" if str(source) == str(output) else f" ({source})"
            raise CaptionerError(f"{key}: {output} is an input{same}, it is not written over")


def refuse_existing(outputs: Iterable[Path], key: str, overwrite: bool, replace_with: str) -> None:
    """Refuse outputs that exist, unless they may be replaced.

    Args:
        replace_with: what the user adds to the command to replace them, such as ``--overwrite``.

    Raises:
        CaptionerError: names the first that exists.
    """
    for path in outputs:
        if os.path.lexists(path) and not (overwrite and not path.is_dir()):
            hint = "is a folder" if path.is_dir() else f"exists; {replace_with} replaces it"
            raise CaptionerError(f"{key}: {path} {hint}")


def is_stream(path: Path) -> bool:
    """Whether it is a device or a pipe, to which is written as it comes, as to ``/dev/stdout``."""
    return path.exists() and not path.is_file() and not path.is_dir()


def free_name(folder: Path, stem: str, ending: str, taken: set[str], ours: Path | None = None) -> Path:
    """``folder/stem.ending``, or ``folder/stem-2.ending`` and so on, that neither exists nor is in ``taken``.

    Names that differ in case alone are one name, as they are on many disks; the one found joins ``taken``.

    Args:
        ours: a file that may be replaced.
    """
    name, number = f"{stem}.{ending}", 2
    while name.casefold() in taken or (os.path.lexists(folder / name) and folder / name != ours):
        name, number = f"{stem}-{number}.{ending}", number + 1
    taken.add(name.casefold())
    return folder / name
