"""Tars of generated JPEGs, of which some are broken and one kills; many more than tests make."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

from support.shards import KILLS, make_tar

from captioner.config.data import ScenesConfig
from captioner.data.scenes.drawing import draw_scene
from captioner.data.scenes.scenes import make_scenes

NAME = "{:06d}"  # of an image, by its number
BROKEN = 100  # every hundredth
PIXELS = 64


@dataclass
class MadeShards:
    """What was made.

    Attributes:
        killer: the number of the image that kills.
        broken: the numbers of those that cannot be decoded.
        captions: by key, None of broken ones; once a command that is to be trusted has said them.
    """

    images: int
    tars: int
    killer: int
    broken: set[int]
    captions: dict[str, str | None] = field(default_factory=dict)

    @property
    def in_tar(self) -> int:
        return self.images // self.tars


def make_shards(folder: Path, images: int, tars: int) -> MadeShards:
    """``00000.tar`` and so on with equally many images, and ``photos/`` with all but the killer."""
    scenes = make_scenes(ScenesConfig(train=images, image_size=PIXELS), "train")
    broken = set(range(BROKEN - 1, images, BROKEN))
    made = MadeShards(images, tars, images * 2 // 3 // BROKEN * BROKEN, broken)
    (folder / "photos").mkdir()
    for tar in range(tars):
        files = []
        for number in range(tar * made.in_tar, (tar + 1) * made.in_tar):
            stream, kills = io.BytesIO(), number == made.killer
            draw_scene(scenes[number]).save(stream, "JPEG", comment=KILLS if kills else b"")
            data = _damaged(stream.getvalue(), number // BROKEN) if number in broken else stream.getvalue()
            files.append((f"{NAME.format(number)}.jpg", data))
            if not kills:
                (folder / "photos" / files[-1][0]).write_bytes(data)
        make_tar(folder / f"{tar:05d}.tar", files)
    return made


def _damaged(data: bytes, kind: int) -> bytes:
    """In one of six ways: cut short, a page of a server, nothing, no header, zeros, a header alone."""
    ways = (data[: len(data) // 2], b"<html>404</html>", b"", data[20:], bytes(len(data)), data[:20])
    return ways[kind % len(ways)]
