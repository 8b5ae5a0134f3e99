"""The formats of captions in one file: what they look like, and how one that exists is read again."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from captioner.cli.output.records import Record
from captioner.errors import CaptionerError, printable

START = '{"path": '  # of every JSON line
SURROGATE = re.compile("[\ud800-\udfff]")


class Format:
    """A text before the records, one per record, and one after them; this one writes nothing.

    Attributes:
        endings: of file names, the first being the usual one.
    """

    endings: Sequence[str] = ()
    head = foot = ""

    def row(self, record: Record, first: bool) -> str:
        """The text of a record, after others unless it is the first."""
        return ""

    def read(self, lines: Iterable[str]) -> Iterator[Record]:
        """The records of a file.

        Raises:
            CaptionerError: it holds something else; names the place.
        """
        return iter(())


class Text(Format):
    """``path<TAB>caption``; errors are on standard error alone."""

    endings = ("txt", "tsv")

    def row(self, record: Record, first: bool) -> str:
        return "" if "error" in record else f"{printable(record['path'])}\t{record['caption']}\n"

    def read(self, lines: Iterable[str]) -> Iterator[Record]:
        for number, line in enumerate(lines, 1):
            path, tab, caption = line.rstrip("\r\n").partition("\t")
            yield _checked({"path": _unquoted(path), "caption": caption} if tab else None, f"line {number}")


class JSONLines(Format):
    """One JSON object per line."""

    endings = ("jsonl", "ndjson")

    def row(self, record: Record, first: bool) -> str:
        return as_json(record) + "\n"

    def read(self, lines: Iterable[str]) -> Iterator[Record]:
        for number, line in enumerate(lines, 1):
            if line.endswith("\n") or not START.startswith(line[: len(START)]):  # else it was being written
                yield _checked(_parsed(line), f"line {number}")


class JSON(Format):
    """A JSON list of objects that ``exiftool -json=FILE`` imports: SourceFile, Description."""

    endings = ("json",)
    head, foot = "[\n", "\n]\n"

    def row(self, record: Record, first: bool) -> str:
        renamed = {"SourceFile": record["path"], "Description": record.get("caption", "")}
        return ("" if first else ",\n") + as_json(
            renamed | {k: v for k, v in record.items() if k not in TAGS}
        )

    def read(self, lines: Iterable[str]) -> Iterator[Record]:
        content = _parsed("".join(lines))
        for number, item in enumerate(content if isinstance(content, list) else [None], 1):
            yield _from_tags(item, f"entry {number}")


class CSV(Format):
    """Comma-separated values that ``exiftool -csv=FILE`` imports: SourceFile, Description."""

    endings = ("csv",)
    head, foot = "SourceFile,Description,confidence,reason,error\r\n", ""

    def row(self, record: Record, first: bool) -> str:
        stream = io.StringIO()
        rest = [record.get(name, "") for name in ("confidence", "reason", "error")]
        csv.writer(stream).writerow([record["path"], record.get("caption", ""), *rest])
        return stream.getvalue()

    def read(self, lines: Iterable[str]) -> Iterator[Record]:
        for number, row in enumerate(csv.DictReader(lines), 1):
            values: Record = {k: v for k, v in row.items() if v or k == "Description"}
            if "confidence" in values:
                values["confidence"] = float(values["confidence"])
            yield _from_tags(values, f"row {number}")


CAPTION_FORMATS: dict[str, Format] = {"text": Text(), "jsonl": JSONLines(), "json": JSON(), "csv": CSV()}
TAGS = ("path", "caption")  # which exiftool's imports call SourceFile and Description


def as_json(record: Record) -> str:
    """One line that anyone can read; only what UTF-8 cannot hold, a byte of a file's name, is escaped."""
    text = json.dumps(record, ensure_ascii=False)
    return SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _unquoted(path: str) -> str:
    """The path that :func:`printable` shows as this."""
    try:
        return str(ast.literal_eval(path)) if path[:1] in ("'", '"') else path
    except (ValueError, SyntaxError):
        return path


def _from_tags(item: Any, place: str) -> Record:
    if not isinstance(item, dict) or "SourceFile" not in item:
        return _checked(None, place)
    record = {"path": item["SourceFile"], "caption": item.get("Description")}
    record |= {k: v for k, v in item.items() if k not in ("SourceFile", "Description")}
    if "error" in record:
        del record["caption"]
    return _checked(record, place)


def _checked(record: Any, place: str) -> Record:
    sound = isinstance(record, dict) and isinstance(record.get("path"), str)
    if not sound or not isinstance(record.get("caption", record.get("error")), str):
        raise CaptionerError(f"{place} is not a record of captioner caption")
    return dict(record)
