"""Captioning shards: which are still to be done, and what doing one writes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.bulk.caption import Record, Settings
from captioner.bulk.child import PYTHON, STALLED
from captioner.bulk.counts import count_of, keep_count
from captioner.bulk.isolation import Isolated
from captioner.bulk.manifest import Manifest
from captioner.bulk.outputs import read_records, write_records
from captioner.bulk.schedule import Done
from captioner.bulk.shards import Shard
from captioner.system.atomic_files import UNFINISHED

WORKER = (*PYTHON, "captioner.bulk.worker")
ABANDONED = 3600  # seconds after which a temporary file has no writer left; an output takes one or two


@dataclass(frozen=True)
class Job:
    """What a process needs to know to caption any shard; it can be sent to other machines.

    Attributes:
        folder: of the outputs, absolute.
        retry_errors: caption the images again whose records are errors.
        command: that starts the process that captions.
        stalled: seconds without an answer, after which that process is taken to hang.
    """

    folder: Path
    manifest: Manifest
    settings: Settings
    retry_errors: bool = False
    command: Sequence[str] = WORKER
    stalled: float = STALLED

    def isolated(self, patience: float | None = None) -> Isolated:
        """A process that captions."""
        return Isolated(self.settings, self.command, self.stalled, patience)

    @property
    def device(self) -> str:
        return self.settings.device

    def do(
        self, number: int, isolated: Isolated, on_record: Callable[[], None] = lambda: None
    ) -> Done | None:
        """Caption a shard and write its output whole; None if that is there, or has no error to retry.

        Raises:
            CaptionerError: the output cannot be written, or the model cannot be loaded.
        """
        shard = self.manifest.shards[number]
        path = self.manifest.path_of(shard, self.folder)
        old: list[Record] | None = None
        if path.exists():
            old = list(read_records(path)) if self.retry_errors else []
            positions = [n for n, record in enumerate(old) if "error" in record]
            if not positions:
                return None
            if any(not old[n]["key"] for n in positions):  # the shard itself was unreadable
                old = None
        _remove_abandoned(path)
        if old is None:
            records = isolated.records(shard, None, on_record)
            _write(path, shard, records)
            return _done(shard, records)
        again = isolated.records(shard, positions, on_record)
        if [record["key"] for record in again] == [old[n]["key"] for n in positions]:
            for n, record in zip(positions, again):
                old[n] = record
            _write(path, shard, old)
        return _done(shard, again)


def remaining(job: Job, share: int = 0, shares: int = 1) -> list[int]:
    """The numbers of the shards that are to be done by one of several commands that divide them.

    Args:
        share: which one, from 0.
        shares: how many there are.
    """
    numbers = range(share, len(job.manifest.shards), shares)
    if job.retry_errors:
        return list(numbers)  # whether an output has errors is known when it is read
    there = {path.name for path in job.folder.iterdir()}
    return [n for n in numbers if job.manifest.path_of(job.manifest.shards[n], job.folder).name not in there]


def _write(path: Path, shard: Shard, records: Sequence[Record]) -> None:
    keep_count(path.parent, shard.name, count_of(records))
    write_records(path, records)


def _done(shard: Shard, records: Sequence[Record]) -> Done:
    return Done(shard.name, *count_of(records))


def _remove_abandoned(path: Path) -> None:
    """Remove what a killed writer of an output left, but never what another machine is writing."""
    for left in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
        try:
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
        except OSError as error:
            print(f"captioner: {left} cannot be removed ({error.strerror})", file=sys.stderr)
