"""What a generated scene is, and how it looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageDraw

from captioner.data.records import Box

UNITS = 96  # a scene is laid out on a square of this side, and scaled to its pixels when drawn
SUPERSAMPLING = 4

Point = tuple[float, float]

COLOURS = {
    "red": (214, 48, 49),
    "orange": (245, 138, 31),
    "yellow": (247, 208, 56),
    "green": (56, 161, 89),
    "blue": (45, 108, 200),
    "purple": (132, 70, 178),
}


def _ring(radii: tuple[float, ...], corners: int) -> tuple[Point, ...]:
    """Points around the origin, the first at the top, with the radii taking turns; box centred."""
    turns = [2 * math.pi * i / corners for i in range(corners)]
    points = [
        (radii[i % len(radii)] * math.sin(turn), -radii[i % len(radii)] * math.cos(turn))
        for i, turn in enumerate(turns)
    ]
    middle = (min(y for _, y in points) + max(y for _, y in points)) / 2
    return tuple((x, y - middle) for x, y in points)


# Corners of the shapes of radius 1, with the box's middle at the origin; of about the same area.
OUTLINES: dict[str, tuple[Point, ...]] = {
    "circle": _ring((1.0,), 72),
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0.0, -0.95), (1.1, 0.95), (-1.1, 0.95)),
    "star": _ring((1.15, 0.55), 10),
}
REACH = 1.1  # no outline goes farther to any side


class Item(NamedTuple):
    """One shape. Its box's middle and its radius are in units, 1/96 of the scene's side."""

    shape: str
    colour: str
    size: str
    x: int
    y: int
    radius: int


@dataclass(frozen=True)
class Scene:
    """One to three shapes, in the order in which captions name them, on a plain background.

    Attributes:
        pixels: side of the drawn image.
        background: red, green and blue, 0 to 255.
    """

    items: tuple[Item, ...]
    pixels: int
    background: tuple[int, int, int]


def draw_scene(scene: Scene) -> Image.Image:
    """Draw the scene, antialiased, as an RGB image of ``scene.pixels`` by ``scene.pixels``."""
    fine = scene.pixels * SUPERSAMPLING
    image = Image.new("RGB", (fine, fine), scene.background)
    draw = ImageDraw.Draw(image)
    for item in scene.items:
        draw.polygon(outline(item, fine), fill=COLOURS[item.colour])
    return image.reduce(SUPERSAMPLING)


def outline(item: Item, pixels: int) -> list[Point]:
    """The item's corners in an image of ``pixels`` by ``pixels``."""
    scale = pixels / UNITS
    return [
        ((item.x + item.radius * x) * scale, (item.y + item.radius * y) * scale)
        for x, y in OUTLINES[item.shape]
    ]


def box(item: Item, pixels: int) -> Box:
    """The item's tight box in an image of ``pixels`` by ``pixels``."""
    xs, ys = zip(*outline(item, pixels), strict=True)
    return min(xs), min(ys), max(xs), max(ys)
