"""The process that encodes shards."""

from __future__ import annotations

from captioner.bulk.encode import EncodeWorker
from captioner.bulk.process import answer

if __name__ == "__main__":
    answer(EncodeWorker)
