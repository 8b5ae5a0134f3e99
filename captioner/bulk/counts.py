"""How many records each output has, kept beside them: of a tar nothing else says whether its output is whole.

Each process appends to a file of its own, so that machines which share the folder need no lock.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from captioner.bulk.caption import Record
from captioner.bulk.manifest import Manifest
from captioner.bulk.outputs import read_records
from captioner.errors import CaptionerError

COUNTS = ".counts"  # in the output folder


class Count(NamedTuple):
    """Of a shard's records, and of those among them that are errors."""

    records: int
    failed: int


def count_of(records: Sequence[Record]) -> Count:
    """The count of a shard's records."""
    return Count(len(records), sum("error" in record for record in records))


def keep_count(folder: Path, shard: str, count: Count) -> None:
    """Keep the count of an output that is about to be written: one that is there then has its count.

    Raises:
        CaptionerError: it cannot be written.
    """
    path = folder / COUNTS / f"{socket.gethostname()}-{os.getpid()}.jsonl"
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(json.dumps({"shard": shard, **count._asdict()}).encode() + b"\n")
    except OSError as error:
        raise CaptionerError(f"--output: cannot write {path} ({error.strerror})") from error


def kept_counts(folder: Path) -> dict[str, set[Count]]:
    """The counts of each shard: several if it was captioned again, after errors or by two commands."""
    found: dict[str, set[Count]] = {}
    for path in sorted(folder.glob(f"{COUNTS}/*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                kept = json.loads(line)
                found.setdefault(kept["shard"], set()).add(Count(kept["records"], kept["failed"]))
            except (ValueError, KeyError, TypeError):  # of a process that was killed, or of a full disk
                continue
    return found


def in_all(folder: Path, manifest: Manifest) -> str:
    """How far a folder is, whoever did it, as a closing line says it."""
    there = {path.name for path in folder.iterdir()}
    kept, done, records, failed = kept_counts(folder), 0, 0, 0
    for shard in manifest.shards:
        path = manifest.path_of(shard, folder)
        if path.name in there:
            counts = kept.get(shard.name, set())
            one = counts.pop() if len(counts) == 1 else count_of(list(read_records(path)))
            done, records, failed = done + 1, records + one.records, failed + one.failed
    errors = f", {failed:,} of them errors" * bool(failed)
    return f"in all {done:,} of {len(manifest.shards):,} shards with {records:,} records{errors}"
