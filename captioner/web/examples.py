"""Pictures to try a model with: photos in the public domain, or scenes for a model that knows only those."""

from __future__ import annotations

import io
from collections.abc import Collection
from importlib.resources import files

from captioner.config.data import ScenesConfig
from captioner.data.scenes.drawing import COLOURS, OUTLINES, Scene, draw_scene
from captioner.data.scenes.scenes import make_scenes

PHOTOS = ("astronaut", "camera", "cat", "coffee", "hopper", "rocket")
SCENES = ScenesConfig(train=1, val=1, test=5, image_size=256)


def examples(words: Collection[str]) -> dict[str, bytes]:
    """Image files by name, for a model with these words."""
    if {*COLOURS, *OUTLINES} <= set(words):
        return {f"scene_{i}.png": _png(scene) for i, scene in enumerate(make_scenes(SCENES, "test"), 1)}
    folder = files("captioner.web").joinpath("photos")
    return {f"{name}.jpg": folder.joinpath(f"{name}.jpg").read_bytes() for name in PHOTOS}


def _png(scene: Scene) -> bytes:
    stream = io.BytesIO()
    draw_scene(scene).save(stream, "PNG")
    return stream.getvalue()
