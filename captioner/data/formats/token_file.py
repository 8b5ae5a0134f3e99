"""``*.token.txt``: a line a caption, after the image's name and the caption's number; Kaggle's is a table."""

from __future__ import annotations

import re
from pathlib import Path

from captioner.data.formats.delimited import column, header_of, read_table
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
    for place, line in read_lines(path, key):
        if not places and {IMAGE, CAPTION} <= set(header_of(line, ",")):
            return _table(path, key, faults)
        with noted(faults):
            name, caption = _parts(line, place)
            places.setdefault(name, place)
            captions.setdefault(name, [])
            captions[name].append(clean_caption(caption, place))
    return captions, places


def _parts(line: str, place: str) -> tuple[str, str]:
    key, tab, caption = line.partition("\t")
    if not tab and (spaced := SPACED.fullmatch(line)):
        key, tab, caption = spaced["key"], " ", spaced["caption"]
    if tab and (parsed := KEY.fullmatch(key.strip())):
        return parsed["name"], caption
    raise CaptionerError(f"{place}: is not of the form name#number<TAB>caption")


def _table(path: Path, key: str, faults: Faults) -> tuple[dict[str, list[str]], dict[str, str]]:
    captions: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    table = read_table(path, key, (IMAGE, CAPTION))
    image, caption = (column(table, name, key) for name in (IMAGE, CAPTION))
    for row in table.rows(image):
        with noted(faults):
            if row.fault is not None:
                raise row.fault
            name = row.cells[image]
            places.setdefault(name, row.place)
            captions.setdefault(name, [])
            captions[name].append(clean_caption(row.cells[caption], row.place))
    return captions, places
