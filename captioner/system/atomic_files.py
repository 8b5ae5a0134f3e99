"""Files written whole or not at all, whatever stops their writer: an error, a full disk or ``kill -9``.

A file is written under a temporary name, synced and renamed. Only a killed writer leaves its temporary file
behind, and the folder's next owner removes it.
"""

from __future__ import annotations

import glob
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from captioner.errors import CaptionerError

UNFINISHED = ".part"
MOST_OF_A_NAME = 200  # bytes; with the rest it may have 255


def make_folder(path: Path, key: str) -> None:
    """Make a folder to write into, before any work is done for it.

    Raises:
        CaptionerError: it cannot be made; ``key`` is what the user would change.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaptionerError(f"{key}: cannot make the folder {path} ({error.strerror})") from error


def make_own_folder(path: Path, key: str) -> Path:
    """Make a folder that nobody else has: ``path``, or ``path-2`` and so on where that exists.

    Raises:
        CaptionerError: as :func:`make_folder`.
    """
    make_folder(path.parent, key)
    for number in itertools.count(1):
        own = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            own.mkdir()
            break
        except FileExistsError:
            continue
        except OSError as error:
            raise CaptionerError(f"{key}: cannot make the folder {own} ({error.strerror})") from error
    return own


def missing_folders(path: Path) -> list[Path]:
    """Those that making a folder will make: itself and the ones above it, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


@contextmanager
def removed_if_empty(folders: Iterable[Path]) -> Iterator[None]:
    """Folders that go where the block fails, as far as nothing is in them; the innermost come first."""
    try:
        yield
    except BaseException:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()
        raise


def write_whole(path: Path, data: bytes | memoryview | str, key: str = "output") -> None:
    """Write a file whole or not at all.

    Raises:
        CaptionerError: it cannot be written; what stood there before is as it was.
    """
    with whole_file(path, key) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def whole_file(path: Path, key: str = "output") -> Iterator[BinaryIO]:
    """A file to write into, which takes the name ``path`` at the end of the block, when all is on the disk.

    Raises:
        CaptionerError: it cannot be written, the disk being full for one; ``key`` is what the user would
            change, and what stood at ``path`` before is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        start = os.fsdecode(os.fsencode(path.name)[:MOST_OF_A_NAME])
        handle, temporary = tempfile.mkstemp(UNFINISHED, f".{start}.", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CaptionerError(f"{key}: cannot write {path} ({error.strerror or error})") from error


@contextmanager
def whole_folder(path: Path, key: str = "output") -> Iterator[Path]:
    """A folder to write into, which takes the name ``path`` at the end of the block, with all that is in it.

    Raises:
        CaptionerError: ``path`` exists, which is refused before the block too, or cannot be written.
    """
    if os.path.lexists(path):
        raise CaptionerError(f"{key}: {path} exists; name a folder that does not")
    make_folder(path.parent, key)
    try:
        temporary = Path(tempfile.mkdtemp(UNFINISHED, f".{path.name[: MOST_OF_A_NAME // 4]}.", path.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            os.rename(temporary, path)  # fails where somebody else's folder with files stands there by now
            _sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise CaptionerError(f"{key}: cannot write {path} ({error.strerror or error})") from error


def remove_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed writers of these files left in a folder that no other process writes to now."""
    for name in names:
        for path in folder.glob(f".{glob.escape(name)}.*{UNFINISHED}"):
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Put a renaming on the disk too, where folders can be opened for that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
