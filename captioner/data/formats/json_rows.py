"""JSON with an image and captions in every object: one object a line, or a list of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from captioner.data.formats.files import NO_CAPTION, Fault, entry, parse_json, read_lines, read_text
from captioner.data.formats.listed import listed_captions
from captioner.errors import CaptionerError

Entry = tuple[str, str, list[str]]  # place, image path as written, captions


def read_json_lines(
    path: Path, key: str, image: str, captions: Sequence[str]
) -> Iterator[Callable[[], Entry]]:
    """What reads each line of a JSON Lines file.

    Args:
        key: the config key that names the file.
        image, captions: the keys of an object that are read.
    """
    for place, line in read_lines(path, key):
        yield partial(_line, line, place, image, captions)


def read_json_rows(
    path: Path, key: str, image: str, captions: Sequence[str]
) -> Iterator[Callable[[], Entry]]:
    """What reads each object of a JSON list; a file of JSON Lines may have that name too.

    Raises:
        CaptionerError: it is neither.
    """
    text = read_text(path, key).strip()
    if not text.startswith("["):
        if text.startswith("{") and isinstance(whole := _whole(text), dict):
            if "images" in whole:
                kind = "coco" if "annotations" in whole else "karpathy"
                raise CaptionerError(f"{key}: {path} is not a table; data={kind} reads such files")
            if image not in whole:
                raise CaptionerError(f"{key}: {path} is one object; a list of objects is needed")
        yield from read_json_lines(path, key, image, captions)
        return
    for number, item in enumerate(parse_json(text, str(path))):
        yield partial(_entry, item, f"{path}: [{number}]", image, captions)


def _whole(text: str) -> Any:
    try:
        return parse_json(text, "")
    except CaptionerError:
        return None


def _line(line: str, place: str, image: str, captions: Sequence[str]) -> Entry:
    return _entry(parse_json(line, place), place, image, captions)


def _entry(row: Any, place: str, image: str, names: Sequence[str]) -> Entry:
    name = entry(row, image, str, f"{place} (data.image_column)")
    texts: list[str] = []
    for key in names:
        if len(names) > 1 and isinstance(row, dict) and row.get(key, "") in (None, "", []):
            continue  # of several, some may be missing
        captions = entry(row, key, (str, list), f"{place} (data.caption_column)")
        if isinstance(captions, str):
            listed = listed_captions(captions)
            captions = [captions] if listed is None else listed
        if not all(isinstance(text, str) for text in captions):
            raise CaptionerError(f"{place}: a caption in the list is not a string")
        texts += [str(text) for text in captions]
    if not texts:
        raise Fault(NO_CAPTION, f"{place}: the list of captions is empty")
    return place, name, texts
