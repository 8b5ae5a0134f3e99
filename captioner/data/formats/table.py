"""Captions of one's own: a CSV or JSON Lines file with an image path and a caption in every row."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from captioner.config.data import TableConfig
from captioner.data.formats.files import (
    EMPTY,
    NO_CAPTION,
    Fault,
    Faults,
    ImageFolder,
    clean_caption,
    entry,
    file_of,
    noted,
    parse_json,
    read_lines,
    read_text,
)
from captioner.data.records import Record
from captioner.errors import CaptionerError, choose

Row = tuple[str, str, list[str]]  # place (file:line), image path as written, captions
MISSING = ("NaN", "nan", "NA", "N/A", "<NA>", "null", "NULL", "None")  # what programs write for no value


def load_table(config: TableConfig, split: str, faults: Faults = None) -> list[Record]:
    """The records of a split: rows of the same image are gathered, images in first-seen order.

    Image paths, relative to ``data.root`` or absolute, are the image ids. With ``data.holdout``
    and no file of the validation split, that is a share of the training split's images, chosen by their
    paths alone.

    Raises:
        CaptionerError: the split is not set, its file lacks a column or has a malformed row, or an
            image is missing.
    """
    if config.holdout and config.val is None and split in ("train", "val"):
        if split == "val" and faults is not None:
            faults = []  # they are the training split's
        held_out, rest = _divided(_load(config, "train", faults), config.holdout)
        return held_out if split == "val" else rest
    return _load(config, split, faults)


def _divided(records: list[Record], share: float) -> tuple[list[Record], list[Record]]:
    """The images that are held out, at least one of two, and the others."""
    ranks = sorted(records, key=lambda record: hashlib.sha256(str(record.image_id).encode()).digest())
    count = min(max(1, round(share * len(records))), max(0, len(records) - 1))
    chosen = {record.image_id for record in ranks[:count]}
    held_out = [record for record in records if record.image_id in chosen]
    return held_out, [record for record in records if record.image_id not in chosen]


def _load(config: TableConfig, split: str, faults: Faults) -> list[Record]:
    path = _find_table(config, split)
    read = choose(READERS, path.suffix.lower(), f"data.{split}: {path}")
    folder = ImageFolder(Path(os.path.expanduser(config.root)), "data.root")
    sources: dict[str, Path | None] = {}  # None: there is no such file
    captions: dict[str, list[str]] = {}
    for parse in read(path, config, f"data.{split}"):
        with noted(faults):
            place, image, texts = parse()
            image_id = Path(image).as_posix()  # so that ./a.jpg and a.jpg are one image
            if image_id not in sources:
                sources[image_id], captions[image_id] = None, []
                sources[image_id] = folder.find(image, place)
            for text in texts:
                with noted(faults):
                    captions[image_id].append(clean_caption(text, place))
    if not sources and not faults:
        raise CaptionerError(f"data.{split}: {path} holds no row")
    return [Record(name, s, tuple(captions[name])) for name, s in sources.items() if s and captions[name]]


def _find_table(config: TableConfig, split: str) -> Path:
    """The split's file, which may be given from the working directory or from ``data.root``."""
    files = {"train": config.train, "val": config.val, "test": config.test}
    given = Path(os.path.expanduser(file_of(files, split)))
    below = Path(os.path.expanduser(config.root)) / given
    for path in (given, below):
        if path.is_file():
            return path
    raise CaptionerError(f"data.{split}: there is neither a file {given} nor {below}")


def _csv_rows(path: Path, config: TableConfig, key: str) -> Iterator[Callable[[], Row]]:
    text = io.StringIO(read_text(path, key), newline="")
    rows = csv.reader(text, skipinitialspace=True, strict=True)
    try:
        columns = [column.strip() for column in next(rows, [])]
        image = _column(columns, config.image_column, path, "data.image_column")
        caption = _column(columns, config.caption_column, path, "data.caption_column")
        for row in rows:
            if row:
                yield partial(_csv_row, row, f"{path}:{rows.line_num}", len(columns), image, caption)
    except csv.Error as error:
        raise CaptionerError(f"{path}:{rows.line_num}: is not valid CSV ({error})") from None


def _csv_row(row: list[str], place: str, columns: int, image: int, caption: int) -> Row:
    if len(row) != columns:
        raise CaptionerError(
            f"{place}: has {len(row)} fields, the header {columns} "
            "(a caption with a comma must be in double quotes)"
        )
    if (text := row[caption].strip()) in MISSING:
        raise Fault(EMPTY, f"{place}: the caption {text!r} stands for a missing value")
    return place, row[image].strip(), [text]


def _column(columns: list[str], name: str, path: Path, key: str) -> int:
    if name not in columns:
        there = ", ".join(columns) or "none"
        raise CaptionerError(f"{path}:1: has no column {name!r} ({key}); columns there: {there}")
    if columns.count(name) > 1:
        raise CaptionerError(f"{path}:1: has two columns {name!r} ({key})")
    return columns.index(name)


def _jsonl_rows(path: Path, config: TableConfig, key: str) -> Iterator[Callable[[], Row]]:
    for place, line in read_lines(path, key):
        yield partial(_json_row, line, place, config)


def _json_row(line: str, place: str, config: TableConfig) -> Row:
    row = parse_json(line, place)
    image = entry(row, config.image_column, str, f"{place} (data.image_column)")
    captions = entry(row, config.caption_column, (str, list), f"{place} (data.caption_column)")
    texts = captions if isinstance(captions, list) else [captions]
    if not texts:
        raise Fault(NO_CAPTION, f"{place}: the list of captions is empty")
    if not all(isinstance(text, str) for text in texts):
        raise CaptionerError(f"{place}: a caption in the list is not a string")
    return place, image, [str(text) for text in texts]


READERS: dict[str, Callable[[Path, TableConfig, str], Iterator[Callable[[], Row]]]] = {
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
}
