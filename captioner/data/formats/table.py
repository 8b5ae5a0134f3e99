"""Captions of one's own: a table or a JSON file with an image path and a caption in every row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from captioner.config.data import TableConfig
from captioner.data.formats.delimited import Row, column, read_table
from captioner.data.formats.division import check_shares, divided, told
from captioner.data.formats.files import (
    EMPTY,
    NO_CAPTION,
    NO_IMAGE,
    Fault,
    Faults,
    ImageFolder,
    Notes,
    clean_caption,
    file_of,
    noted,
)
from captioner.data.formats.json_rows import read_json_lines, read_json_rows
from captioner.data.formats.listed import listed_captions
from captioner.data.formats.seen import saw
from captioner.data.records import Record
from captioner.errors import CaptionerError

Entry = tuple[str, str, list[str]]  # place (file:line), image path as written, captions
MISSING = (  # what programs write for no value: Python and R, databases, spreadsheets
    *("NaN", "nan", "NA", "N/A", "<NA>", "null", "NULL", "None", "\\N"),
    *("#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"),
)


def load_table(config: TableConfig, split: str, faults: Faults = None, notes: Notes = None) -> list[Record]:
    """The records of a split: rows of the same image are gathered, images in first-seen order.

    Image paths, relative to ``data.root`` or absolute, are the image ids. A split without a file may be a
    share of the training file's images; only their paths and ``data.split_seed`` decide which.

    Raises:
        CaptionerError: the split is not set, its file lacks a column or has a malformed row, or an
            image is missing.
    """
    val = 0.0 if config.val is not None else config.val_share or config.holdout
    test = 0.0 if config.test is not None else config.test_share
    if not {"train": val or test, "val": val, "test": test}[split]:
        return _load(config, split, faults)
    if split != "train" and faults is not None:
        faults = []  # they are the training split's
    check_shares(val, test)
    splits = divided(_load(config, "train", faults), config.split_seed, val, test)
    if notes is not None and split == "train":
        notes.append(told(splits, str(config.train), config.split_seed, val, test))
    return splits[split]


def _load(config: TableConfig, split: str, faults: Faults) -> list[Record]:
    path = _find_table(config, split)
    folder = ImageFolder(Path(os.path.expanduser(config.root)), "data.root")
    sources: dict[str, Path | None] = {}  # None: there is no such file
    captions: dict[str, list[str]] = {}
    for parse in _reader(path, f"data.{split}")(path, config, f"data.{split}"):
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
    if files.get(split, "") is None and split != "train" and config.train is not None:
        raise CaptionerError(
            f"data.{split}: no file is set; give one, or data.{split}_share=0.1 for a tenth of data.train"
        )
    given = Path(os.path.expanduser(file_of(files, split)))
    below = Path(os.path.expanduser(config.root)) / given
    for path in (given, below):
        saw(path)
        if path.is_file():
            return path
    raise CaptionerError(f"data.{split}: there is neither a file {given} nor {below}")


def _table_rows(path: Path, config: TableConfig, key: str) -> Iterator[Callable[[], Entry]]:
    names = caption_columns(config)
    table = read_table(path, key, [config.image_column, *names])
    image = column(table, config.image_column, "data.image_column")
    captions = [column(table, name, "data.caption_column") for name in names]
    for row in table.rows(image):
        yield partial(table_entry, row, image, captions)


def table_entry(row: Row, image: int, captions: list[int]) -> Entry:
    """A row's image and captions.

    Args:
        captions: columns; of several, some may be empty.

    Raises:
        CaptionerError: a caption is missing or is a list that cannot be read, or the row is malformed.
    """
    if row.fault is not None:
        raise row.fault
    if not row.cells[image]:
        raise Fault(NO_IMAGE, f"{row.place}: the name of the image is empty")
    cells = [row.cells[place] for place in captions]
    given = [cell for cell in cells if cell and cell not in MISSING]
    if len(captions) == 1 and cells[0] in MISSING:
        raise Fault(EMPTY, f"{row.place}: the caption {cells[0]!r} stands for a missing value")
    if len(captions) > 1 and not given:
        raise Fault(NO_CAPTION, f"{row.place}: every caption is empty")
    texts = [text for cell in given or cells for text in _texts(cell)]
    if not texts:
        raise Fault(NO_CAPTION, f"{row.place}: the list of captions is empty")
    return row.place, row.cells[image], texts


def _texts(cell: str) -> list[str]:
    """The captions in a cell: it, or those of the list that it is."""
    listed = listed_captions(cell)
    return [cell] if listed is None else listed


def caption_columns(config: TableConfig) -> list[str]:
    """The names of the columns with captions.

    Raises:
        CaptionerError: they are no names, or one is given twice.
    """
    given = config.caption_column
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise CaptionerError(
            f"data.caption_column: {given!r} is neither the name of a column nor a list of different ones"
        )
    return [str(name) for name in names]


def _json_rows(path: Path, config: TableConfig, key: str) -> Iterator[Callable[[], Entry]]:
    return read_json_rows(path, key, config.image_column, caption_columns(config))


def _json_lines(path: Path, config: TableConfig, key: str) -> Iterator[Callable[[], Entry]]:
    return read_json_lines(path, key, config.image_column, caption_columns(config))


Reader = Callable[[Path, TableConfig, str], Iterator[Callable[[], Entry]]]
READERS: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), _table_rows),
    **dict.fromkeys((".jsonl", ".ndjson"), _json_lines),
    ".json": _json_rows,
}


def _reader(path: Path, key: str) -> Reader:
    ending = path.suffix.lower()
    if ending not in READERS:
        raise CaptionerError(
            f"{key}: {path} ends in none of {', '.join(READERS)}; save a spreadsheet as CSV (UTF-8)"
        )
    return READERS[ending]
