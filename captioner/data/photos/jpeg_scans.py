"""How many scans a JPEG file has, that is, passes over its picture, counted without decoding it.

A scan may take no more than twelve bytes of the file, yet it costs time for every pixel. Photos have some ten
of them; a file of a few kilobytes can have thousands, and would hold its decoder for hours.
"""

from __future__ import annotations

import re
from typing import BinaryIO

MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # those aside that stand within a scan
START, END, SCAN, ALONE = 0xD8, 0xD9, 0xDA, 0x01  # START, END and ALONE have no length and no content
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}


def has_more_scans(file: BinaryIO, most: int) -> bool:
    """Whether the JPEG picture that begins the file has more than ``most`` scans; reads no further."""
    file.seek(0)
    scans, components, progressive = 0, 0, False
    while (kind := _next_marker(file)) != END and scans <= most:
        if kind in (START, ALONE):
            continue
        content = file.tell() + max(2, int.from_bytes(file.read(2), "big"))
        if kind in FRAMES:
            progressive, components = kind in PROGRESSIVE, int.from_bytes(file.read(6)[5:], "big")
        elif kind == SCAN:
            scans += 1
            if not progressive and int.from_bytes(file.read(1), "big") >= components:
                return False  # it holds the whole picture
        file.seek(content)
    return scans > most


def _next_marker(file: BinaryIO) -> int:
    """The kind of the next marker, after which the file then stands; the end's where there is none."""
    before, size = b"", 64
    while part := file.read(size):
        if found := MARKER.search(before + part):
            file.seek(found.end() - len(before) - len(part), 1)
            return found[0][1]
        before, size = part[-1:], min(2 * size, 2**16)
    return END
