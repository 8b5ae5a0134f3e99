"""A minimal DNG file (Adobe's DNG specification 1.4): a raw mosaic with a JPEG preview."""

from __future__ import annotations

import io
import struct

from PIL import Image

BYTE, ASCII, SHORT, LONG = 1, 2, 3, 4
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4}
CODES = {BYTE: "B", SHORT: "H", LONG: "I"}
CFA_PHOTOMETRIC, YCBCR, JPEG, UNCOMPRESSED = 32803, 6, 7, 1


def dng(preview: Image.Image, orientation: int = 1, side: int = 64) -> bytes:
    """The bytes of a DNG whose raw mosaic is plain grey and whose preview is this image."""
    stream = io.BytesIO()
    preview.save(stream, "jpeg", quality=95)
    jpeg, mosaic = stream.getvalue(), struct.pack("<H", 2000) * (side * side)
    first = 8
    width, height = preview.size
    main = [
        (254, LONG, (1,)),  # a reduced image
        (256, LONG, (width,)),
        (257, LONG, (height,)),
        (258, SHORT, (8, 8, 8)),
        (259, SHORT, (JPEG,)),
        (262, SHORT, (YCBCR,)),
        (271, ASCII, b"Maker\0"),
        (272, ASCII, b"Model\0"),
        (273, LONG, (0,)),  # where its data is, filled in below
        (274, SHORT, (orientation,)),
        (277, SHORT, (3,)),
        (278, LONG, (height,)),
        (279, LONG, (len(jpeg),)),
        (330, LONG, (0,)),  # where the raw image is described
        (50706, BYTE, (1, 4, 0, 0)),
        (50708, ASCII, b"Maker Model\0"),
    ]
    raw = [
        (254, LONG, (0,)),
        (256, LONG, (side,)),
        (257, LONG, (side,)),
        (258, SHORT, (16,)),
        (259, SHORT, (UNCOMPRESSED,)),
        (262, SHORT, (CFA_PHOTOMETRIC,)),
        (273, LONG, (0,)),
        (277, SHORT, (1,)),
        (278, LONG, (side,)),
        (279, LONG, (len(mosaic),)),
        (33421, SHORT, (2, 2)),
        (33422, BYTE, (0, 1, 1, 2)),
    ]
    second = first + _length(main)
    data = second + _length(raw)
    _set(main, 273, data)
    _set(main, 330, second)
    _set(raw, 273, data + len(jpeg))
    return (
        struct.pack("<2sHI", b"II", 42, first)
        + _directory(main, first)
        + _directory(raw, second)
        + jpeg
        + mosaic
    )


def _set(entries: list[tuple[int, int, object]], tag: int, value: int) -> None:
    place = next(i for i, entry in enumerate(entries) if entry[0] == tag)
    entries[place] = (tag, LONG, (value,))


def _packed(kind: int, values: object) -> bytes:
    if isinstance(values, bytes):
        return values
    assert isinstance(values, tuple)
    return struct.pack(f"<{len(values)}{CODES[kind]}", *values)


def _length(entries: list[tuple[int, int, object]]) -> int:
    beyond = [len(packed) for _, kind, values in entries if len(packed := _packed(kind, values)) > 4]
    return 2 + 12 * len(entries) + 4 + sum(beyond)


def _directory(entries: list[tuple[int, int, object]], start: int) -> bytes:
    table, beyond = b"", b""
    room = start + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        packed = _packed(kind, values)
        held = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", room + len(beyond))
        beyond += packed if len(packed) > 4 else b""
        table += struct.pack("<HHI", tag, kind, len(packed) // SIZES[kind]) + held
    return struct.pack("<H", len(entries)) + table + struct.pack("<I", 0) + beyond
