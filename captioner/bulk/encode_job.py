"""Encoding shards of annotation caches: what doing one of them means to a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.bulk.child import PYTHON
from captioner.bulk.encode import Settings, Shard
from captioner.bulk.isolation import DEATHS, Isolated
from captioner.bulk.schedule import Done
from captioner.errors import CaptionerError

WORKER = (*PYTHON, "captioner.bulk.encode_worker")
STALLED = 3600.0  # seconds: a process answers when it has read all records, then after each batch


@dataclass(frozen=True)
class EncodeJob:
    """What a process needs to know to encode any shard; it can be sent to other machines.

    Attributes:
        command: that starts the process that encodes.
        stalled: seconds without an answer, after which that process is taken to hang.
    """

    settings: Settings
    shards: Sequence[Shard]
    command: Sequence[str] = WORKER
    stalled: float = STALLED

    @property
    def device(self) -> str:
        return self.settings.device

    def isolated(self, patience: float | None = None) -> Isolated:
        """A process that encodes."""
        return Isolated(self.settings, self.command, self.stalled, patience)

    def do(
        self, number: int, isolated: Isolated, on_record: Callable[[], None] = lambda: None
    ) -> Done | None:
        """Encode a shard and write it whole; None if it is there.

        Raises:
            CaptionerError: a photo cannot be read or kills its process, or the shard cannot be written.
        """
        path = Path(self.shards[number].place)
        for _ in range(DEATHS):
            if path.exists():
                return None
            records = isolated.records(self.shards[number], None, on_record)
            for record in records:
                if "error" in record:
                    raise CaptionerError(record["error"])
            if path.exists():
                return Done(path.stem, len(records))
        raise CaptionerError(  # while it encoded all of the shard, and no photo alone kills it
            f"encode: the process that encodes {path} died {DEATHS} times; has it enough memory?"
        )
