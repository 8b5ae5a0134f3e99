"""``*.token.txt``: a line a caption, after the image's name and the caption's number; Kaggle's is a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from captioner.data.formats.delimited import Row, column, header_of, read_table
from captioner.data.formats.files import Faults, clean_caption, noted, read_lines
from captioner.errors import CaptionerError

IMAGE, CAPTION = "image", "caption"  # of Kaggle's header
# image.jpg#0, of another language image.jpg#zhb#0; a space may stand for the tab where the name has none
KEY = re.compile(r"(?P<name>.+?)(?:#[A-Za-z][\w-]*)?#\d+$")
SPACED = re.compile(r"(?P<key>\S+#\d+)[ \u3000]+(?P<caption>.*)")


def read_captions(path: Path, key: str, faults: Faults) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The captions of every image, in the order of the file, and the place of each image's first.

    Args:
        key: the config key that names the file.
    """
    captions: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for place, parse in _entries(path, key):
        with noted(faults):
            name, caption = parse()
            places.setdefault(name, place)
            captions.setdefault(name, [])
            captions[name].append(clean_caption(caption, place))
    return captions, places


def _entries(path: Path, key: str) -> Iterator[tuple[str, Callable[[], tuple[str, str]]]]:
    """The place of each entry, and what reads the image's name and the caption in it."""
    begun = False  # with a line of the authors' form, after which there is no header
    for place, line in read_lines(path, key):
        if not begun and {IMAGE, CAPTION} <= set(header_of(line, ",")):
            yield from _rows(path, key)
            return
        begun = begun or _parts(line) is not None
        yield place, partial(_entry, line, place)


def _entry(line: str, place: str) -> tuple[str, str]:
    if (parts := _parts(line)) is None:
        raise CaptionerError(f"{place}: is not of the form name#number<TAB>caption")
    return parts


def _parts(line: str) -> tuple[str, str] | None:
    key, tab, caption = line.partition("\t")
    if not tab and (spaced := SPACED.fullmatch(line)):
        key, tab, caption = spaced["key"], " ", spaced["caption"]
    parsed = KEY.fullmatch(key.strip()) if tab else None
    return None if parsed is None else (parsed["name"], caption)


def _rows(path: Path, key: str) -> Iterator[tuple[str, Callable[[], tuple[str, str]]]]:
    table = read_table(path, key, (IMAGE, CAPTION))
    image, caption = (column(table, name, key) for name in (IMAGE, CAPTION))
    for row in table.rows(image):
        yield row.place, partial(_cells, row, image, caption)


def _cells(row: Row, image: int, caption: int) -> tuple[str, str]:
    if row.fault is not None:
        raise row.fault
    return row.cells[image], row.cells[caption]
