"""Captions of one's own: a CSV or JSON Lines file with an image path and a caption in every row."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from captioner.config import TableConfig
from captioner.data.files import (
    ImageFolder,
    clean_caption,
    entry,
    parse_json,
    read_lines,
    read_text,
)
from captioner.data.records import Record
from captioner.errors import CaptionerError, choose

Row = tuple[str, str, list[str]]  # place (file:line), image path as written, captions


def load_table(config: TableConfig, split: str) -> list[Record]:
    """The records of a split: rows of the same image are gathered, images in first-seen order.

    Image paths, relative to ``data.root`` or absolute, are the image ids.

    Raises:
        CaptionerError: the split is not set, its file lacks a column or has a malformed row, or an
            image is missing.
    """
    path = _find_table(config, split)
    read = choose(READERS, path.suffix.lower(), f"data.{split}: {path}")
    folder = ImageFolder(Path(config.root).expanduser(), "data.root")
    sources: dict[str, Path] = {}
    captions: dict[str, list[str]] = {}
    for place, image, texts in read(path, config, f"data.{split}"):
        image_id = Path(image).as_posix()  # so that ./a.jpg and a.jpg are one image
        if image_id not in sources:
            sources[image_id] = folder.find(image, place)
            captions[image_id] = []
        captions[image_id] += [clean_caption(text, place) for text in texts]
    if not sources:
        raise CaptionerError(f"data.{split}: {path} holds no row")
    return [Record(name, source, tuple(captions[name])) for name, source in sources.items()]


def _find_table(config: TableConfig, split: str) -> Path:
    """The split's file, which may be given from the working directory or from ``data.root``."""
    files = {"train": config.train, "val": config.val, "test": config.test}
    file = choose(files, split, "split")
    if file is None:
        there = ", ".join(name for name, file in files.items() if file is not None) or "none"
        raise CaptionerError(f"data.{split}: no file is set; splits that have one: {there}")
    given = Path(file).expanduser()
    below = Path(config.root).expanduser() / given
    for path in (given, below):
        if path.is_file():
            return path
    raise CaptionerError(f"data.{split}: there is neither a file {given} nor {below}")


def _read_csv(path: Path, config: TableConfig, key: str) -> Iterator[Row]:
    text = io.StringIO(read_text(path, key), newline="")
    rows = csv.reader(text, skipinitialspace=True, strict=True)
    try:
        columns = [column.strip() for column in next(rows, [])]
        image = _column(columns, config.image_column, path, "data.image_column")
        caption = _column(columns, config.caption_column, path, "data.caption_column")
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if row and len(row) != len(columns):
                raise CaptionerError(
                    f"{place}: has {len(row)} fields, the header {len(columns)} "
                    "(a caption with a comma must stand in double quotes)"
                )
            if row:
                yield place, row[image].strip(), [row[caption]]
    except csv.Error as error:
        raise CaptionerError(f"{path}:{rows.line_num}: is not valid CSV ({error})") from None


def _column(columns: list[str], name: str, path: Path, key: str) -> int:
    if name not in columns:
        there = ", ".join(columns) or "none"
        raise CaptionerError(f"{path}:1: has no column {name!r} ({key}); columns there: {there}")
    return columns.index(name)


def _read_jsonl(path: Path, config: TableConfig, key: str) -> Iterator[Row]:
    for place, line in read_lines(path, key):
        row = parse_json(line, place)
        image = entry(row, config.image_column, str, f"{place} (data.image_column)")
        where = f"{place} (data.caption_column)"
        captions = entry(row, config.caption_column, (str, list), where)
        texts = captions if isinstance(captions, list) else [captions]
        if not texts:
            raise CaptionerError(f"{place}: the list of captions is empty")
        if not all(isinstance(text, str) for text in texts):
            raise CaptionerError(f"{place}: a caption in the list is not a string")
        yield place, image, [str(text) for text in texts]


READERS: dict[str, Callable[[Path, TableConfig, str], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}
