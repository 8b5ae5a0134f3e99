"""Captions that a program made, whichever it was: COCO's results format, JSON Lines, CSV, or ours.

An entry names an image (``image_id``, ``path``, ``SourceFile`` or ``image``) and has a caption (``caption``
or ``Description``): COCO's results format, and what ``captioner evaluate`` and ``captioner caption`` write.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from captioner.data.formats.delimited import read_table
from captioner.data.formats.files import parse_json, read_json, read_lines
from captioner.errors import CaptionerError, choose

IMAGE_KEYS = ("image_id", "path", "SourceFile", "image")
CAPTION_KEYS = ("caption", "Description")
RESULTS = "captions.json"  # which captioner evaluate writes into its output


class Prediction(NamedTuple):
    """A caption of an image.

    Attributes:
        image: its id, or the path of its file, as written.
        place: where it stands, for errors.
    """

    image: str
    caption: str
    place: str


def predictions_file(path: str | Path) -> Path:
    """The file of captions that a path names, which may be the output folder of ``captioner evaluate``."""
    path = Path(os.path.expanduser(path))
    return path / RESULTS if path.is_dir() else path


def load_predictions(path: Path, key: str) -> list[Prediction]:
    """The captions of a file, in its order; entries that record an error instead of a caption are left out.

    Args:
        key: of the configuration, which errors name.

    Raises:
        CaptionerError: there is no such file, its ending is of no format, or an entry is malformed.
    """
    read = choose(READERS, path.suffix.lower(), f"{key}: {path}")
    found = [_prediction(item, place) for item, place in read(path, key) if not _failed(item)]
    if not found:
        raise CaptionerError(f"{key}: {path} holds no caption")
    return found


def _failed(item: Any) -> bool:
    """Whether it is a photo that ``captioner caption`` could not read."""
    return isinstance(item, Mapping) and bool(item.get("error"))


def _prediction(item: Any, place: str) -> Prediction:
    if not isinstance(item, Mapping):
        raise CaptionerError(f"{place}: {reprlib.repr(item)} is not an image with a caption")
    image, caption = (_value(item, keys, place) for keys in (IMAGE_KEYS, CAPTION_KEYS))
    if isinstance(image, bool) or not isinstance(image, str | int) or image == "":
        raise CaptionerError(f"{place}: {reprlib.repr(image)} names no image")
    if not isinstance(caption, str) or any("\ud800" <= character <= "\udfff" for character in caption):
        raise CaptionerError(f"{place}: the caption {reprlib.repr(caption)} is not text")
    return Prediction(str(image), " ".join(caption.split()), place)


def _value(item: Mapping[Any, Any], keys: tuple[str, ...], place: str) -> Any:
    for key in keys:
        if key in item:
            return item[key]
    there = ", ".join(map(str, list(item)[:10])) or "nothing"
    raise CaptionerError(f"{place}: has none of {', '.join(keys)}, only {there}")


def _json(path: Path, key: str) -> Iterator[tuple[Any, str]]:
    content = read_json(path, key)
    if not isinstance(content, list):
        raise CaptionerError(f"{key}: {path} is not a list, as COCO's results format is")
    for number, item in enumerate(content, 1):
        yield item, f"{path}: entry {number}"


def _json_lines(path: Path, key: str) -> Iterator[tuple[Any, str]]:
    for place, line in read_lines(path, key):
        yield parse_json(line, place), place


def _csv(path: Path, key: str) -> Iterator[tuple[Any, str]]:
    table = read_table(path, key, (*IMAGE_KEYS, *CAPTION_KEYS))
    image = next((table.columns.index(name) for name in IMAGE_KEYS if name in table.columns), 0)
    for row in table.rows(image):
        if row.fault is not None:
            raise row.fault
        yield dict(zip(table.columns, row.cells)), row.place


def _text(path: Path, key: str) -> Iterator[tuple[Any, str]]:
    for place, line in read_lines(path, key):
        image, _, caption = line.partition("\t")
        yield {"image": image, "caption": caption}, place


READERS: dict[str, Callable[[Path, str], Iterator[tuple[Any, str]]]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".txt": _text,
    ".tsv": _text,
}
