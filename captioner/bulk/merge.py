"""All outputs of a folder as one file, in the order of the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from captioner.bulk.caption import Record
from captioner.bulk.counts import kept_counts
from captioner.bulk.manifest import Manifest, read_manifest
from captioner.bulk.outputs import read_records, write_records
from captioner.errors import CaptionerError

NAMED = 5  # missing shards that a message names


def merge(folder: Path, output: Path) -> int:
    """Write the records of all shards to ``output``, JSON lines or Parquet by its ending; returns how many.

    Raises:
        CaptionerError: shards are missing, an output is damaged or has not one record per image, or the file
            cannot be written.
    """
    manifest = read_manifest(folder)
    there = {path.name for path in folder.iterdir()}
    paths = [manifest.path_of(shard, folder) for shard in manifest.shards]
    if missing := [path.name for path in paths if path.name not in there]:
        named = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        raise CaptionerError(
            f"merge: {folder} lacks {len(missing):,} of {len(paths):,} shards ({named}); "
            "the command that captions them continues it"
        )
    return write_records(output, _all(folder, manifest))


def _all(folder: Path, manifest: Manifest) -> Iterator[Record]:
    kept = kept_counts(folder)
    for shard in manifest.shards:
        path, count, last = manifest.path_of(shard, folder), 0, ""
        for record in read_records(path):
            count, last = count + 1, record.get("key", "")
            yield record
        unread = count == 1 and last == ""  # one error, of the list or table itself
        wanted = {one.records for one in kept.get(shard.name, ())} if shard.count is None else {shard.count}
        if wanted and count not in wanted and not (unread and shard.count is not None):
            there = " or ".join(f"{n:,}" for n in sorted(wanted))
            raise CaptionerError(f"merge: {path} has {count:,} records for {there} images; remove it")
