"""The header of a model file: what it holds, and reading it from a file that may be anything.

safetensors keeps the names and places of tensors there as JSON, and beside them texts of one's own.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import unicodedata
from typing import Any, BinaryIO

from captioner.errors import CaptionerError

FORMAT = 1
MAX_HEADER = 100 * 2**20  # bytes; safetensors' own limit
_DAMAGED = "checkpoint: {} is not a model file of captioner, or is cut short"


def metadata_of(ours: dict[str, Any]) -> dict[str, str]:
    """Our part of the header as safetensors keeps it."""
    text = json.dumps(ours, ensure_ascii=False)
    return {"format": str(FORMAT), "captioner": text, "captioner_sha256": _sha256(text)}


def repeatable(data: bytes) -> bytes:
    """The same file with its header's keys in order, which safetensors leaves to chance."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    text = text.ljust(-len(text) % 8 + len(text))  # tensors start at a multiple of 8 bytes
    return b"".join((struct.pack("<Q", len(text)), text, memoryview(data)[8 + size :]))


def read_start(file: BinaryIO, path: str) -> bytes:
    """The safetensors header and the eight bytes before it that say how long it is.

    Raises:
        CaptionerError: it is a pickle, or no file of safetensors.
    """
    start = file.read(9)
    # the size that comes first may begin with a pickle's bytes; JSON after it tells them apart
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise CaptionerError(
            f"checkpoint: {path} is a pickle, which could run code; it was not read "
            "(expected a model.safetensors of captioner)"
        )
    size = int.from_bytes(start[:8], "little")
    if not 1 <= size <= min(os.fstat(file.fileno()).st_size - 8, MAX_HEADER):
        raise CaptionerError(_DAMAGED.format(path))
    return start + file.read(size - 1)


def header_of(text: bytes, path: str) -> dict[str, Any]:
    """Our part of the safetensors header.

    Raises:
        CaptionerError: there is none, it is damaged, or of a newer format.
    """
    damaged = _DAMAGED.format(path)
    try:
        metadata = json.loads(text)["__metadata__"]
        version = int(metadata["format"])
        ours = metadata["captioner"]
        header = json.loads(ours)
        whole = metadata.get("captioner_sha256") in (None, _sha256(ours))  # files of before have none
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CaptionerError(damaged) from error
    if version > FORMAT:
        raise CaptionerError(
            f"checkpoint: {path} has format {version}, this captioner reads up to {FORMAT}; "
            "install a newer one"
        )
    if not isinstance(header, dict):
        raise CaptionerError(damaged)
    if not whole:
        raise CaptionerError(f"checkpoint: the header of {path} is damaged (its checksum is wrong)")
    return header


def checked_word(word: Any) -> str:
    """A word of the vocabulary: no space, nothing that commands a terminal, no half of a character."""
    one = isinstance(word, str) and word.split() == [word]
    if not one or any(unicodedata.category(character) in ("Cc", "Cs") for character in word):
        raise CaptionerError(f"vocabulary: {ascii(word)[:60]} is not a word")
    return word


def plain(text: Any) -> str:
    """Text without what would command a terminal."""
    return "".join(c for c in str(text) if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def finite(value: Any) -> float:
    """A number that a page can tell: JSON has neither NaN nor infinity."""
    if not math.isfinite(number := float(value)):
        raise ValueError(f"grounding: {number} is not a finite number")
    return number


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
