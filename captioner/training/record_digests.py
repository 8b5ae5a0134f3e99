"""What is kept of records, by which a run knows its data again: names, captions, sizes and some bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from captioner.data.records import Record
from captioner.features.identity import SAMPLE, is_large

PIECE = 4096  # bytes at the beginning, in the middle and at the end of a photo: reading all of it takes long
SAMPLED = "sampled"


def digests_of(records: Sequence[Record]) -> dict[str, Any]:
    """Plain values and tensors of a split.

    Of every image the name, and digests of its captions and of its file; where images are too many to look at
    each file, one digest of all names and captions, and the others of a sample that is the same every time.
    """
    if not is_large(records):
        return _of_each(records)
    digest = blake2b(digest_size=16)
    for record in records:
        digest.update(json.dumps([name_of(record), record.captions]).encode())
    numbers = (len(records) * place // SAMPLE for place in range(SAMPLE))
    sampled = _of_each([records[number] for number in numbers])
    return {"count": len(records), "digest": digest.hexdigest(), SAMPLED: sampled}


def name_of(record: Record) -> str:
    """What the image is called."""
    return str(record.image_id)


def size_of(record: Record) -> int:
    """Bytes of the image's file: the same on every disk, and known without reading it."""
    try:
        return record.source.stat().st_size if isinstance(record.source, Path) else 0
    except OSError:  # whoever reads the photo tells why
        return -1


def _of_each(records: Sequence[Record]) -> dict[str, Any]:
    return {
        "names": list(map(name_of, records)),
        "captions": _digests(records),
        "bytes": _bytes(records),
        "content": _contents(records),
    }


def _digests(records: Sequence[Record]) -> Tensor:
    """Of every image's captions, in their order, ``(images,)`` of int64."""
    return torch.tensor([_digest(record.captions) for record in records], dtype=torch.int64)


def _bytes(records: Sequence[Record]) -> Tensor:
    """Of every image's file, ``(images,)`` of int64."""
    return torch.tensor([size_of(record) for record in records], dtype=torch.int64)


def _contents(records: Sequence[Record]) -> Tensor:
    """Of some bytes of every image's file, ``(images,)`` of int64: other photos differ there."""
    return torch.tensor([_content(record) for record in records], dtype=torch.int64)


def _content(record: Record) -> int:
    if not isinstance(record.source, Path):
        return 0
    digest, size = blake2b(digest_size=8), size_of(record)
    try:
        with open(record.source, "rb", buffering=0) as file:
            for place in sorted({0, max(0, size // 2), max(0, size - PIECE)}):
                file.seek(place)
                digest.update(file.read(PIECE))
    except OSError:  # whoever reads the photo tells why
        return -1
    return int.from_bytes(digest.digest(), "little", signed=True)


def _digest(captions: Sequence[str]) -> int:
    digest = blake2b(json.dumps(captions).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
