"""The process that reads caption files and writes the index of a split: what it held ends with it.

It takes one JSON object on standard input and answers with one: empty, or with what is wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from captioner.config.data import DataConfig
from captioner.config.schema import SCHEMAS
from captioner.data.formats.seen import watching
from captioner.data.index.records import write_records
from captioner.data.load import load_split
from captioner.errors import CaptionerError, choose


def read_and_write(path: Path, config: DataConfig, split: str, least: int) -> None:
    """The arguments are those of :func:`captioner.data.index.build.build`."""
    notes: list[str] = []
    with watching() as looks:
        records = load_split(config, split, notes=notes)
    stored = len(records) >= least
    metadata = {"images": len(records), "stored": stored, "notes": notes, "looks": looks}
    write_records(path, records if stored else [], metadata)


def main() -> None:
    """Do what standard input asks for."""
    asked = json.load(sys.stdin)
    answer: dict[str, str] = {}
    try:
        config = choose(SCHEMAS["data"], asked["data"]["name"], "data.name")(**asked["data"])
        read_and_write(Path(asked["path"]), config, asked["split"], asked["least"])
    except CaptionerError as error:
        answer["error"] = str(error)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
