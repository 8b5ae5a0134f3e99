"""Generated scenes of coloured shapes: data for trying things out without downloading any.

A scene depends on nothing but the seed, the split and its number, and the splits have no layout of
shapes in common, whatever the seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from itertools import combinations, pairwise, permutations
from pathlib import Path
from random import Random
from typing import TypeVar

from captioner.config.data import ScenesConfig
from captioner.config.declare import check
from captioner.data.records import Record
from captioner.data.scenes.captions import reference_captions, relation
from captioner.data.scenes.drawing import COLOURS, OUTLINES, REACH, UNITS, Item, Scene, draw_scene
from captioner.errors import choose
from captioner.system.atomic_files import make_folder, whole_file, write_whole
from captioner.system.outputs import refuse_existing

T = TypeVar("T")

RADII = {"small": (9, 10), "large": (15, 16)}  # units
GAP = 2  # units between boxes, and between a box and the border
LIGHT = range(236, 253)  # brightness of the background in every colour channel
SPLITS = ("train", "val", "test")


def load_scenes(config: ScenesConfig, split: str) -> list[Record]:
    """The records of a split; their sources draw the scenes when called.

    Raises:
        CaptionerError: the split is unknown or empty, or the images are too small to see shapes.
    """
    records = []
    for i, scene in enumerate(make_scenes(config, split)):
        captions, groundings = reference_captions(scene)
        records.append(Record(f"{split}_{i:05d}", partial(draw_scene, scene), captions, groundings))
    return records


def write_scenes(config: ScenesConfig, split: str, folder: Path, overwrite: bool = False) -> Path:
    """Write a split as ``SPLIT_NUMBER.png`` files and ``SPLIT.jsonl``, which ``data=table`` reads.

    The image paths are relative to ``folder``, so all splits may go into the same one.

    Returns:
        The path of the table.

    Args:
        overwrite: replace files that exist.

    Raises:
        CaptionerError: as :func:`load_scenes`, a file exists, or the folder cannot be written to.
    """
    scenes = make_scenes(config, split)
    names = [f"{split}_{i:05d}.png" for i in range(len(scenes))]
    table = folder / f"{split}.jsonl"
    refuse_existing([table, *(folder / name for name in names)], "DIR", overwrite, "--overwrite")
    make_folder(folder, "DIR")
    rows = []
    for name, scene in zip(names, scenes):
        with whole_file(folder / name, "DIR") as file:
            draw_scene(scene).save(file, "PNG")
        rows.append(json.dumps({"image": name, "caption": reference_captions(scene)[0]}) + "\n")
    write_whole(table, "".join(rows), "DIR")
    return table


def make_scenes(config: ScenesConfig, split: str) -> list[Scene]:
    """The scenes of a split. Raises as :func:`load_scenes`."""
    counts = {"train": config.train, "val": config.val, "test": config.test}
    count = choose(counts, split, "split")
    check(config, "data")
    return [_make_scene(config.seed, split, i, config.image_size) for i in range(count)]


def _make_scene(seed: int, split: str, number: int, pixels: int) -> Scene:
    random = Random(f"{seed} {split} {number}")
    background = (_pick(random, LIGHT), _pick(random, LIGHT), _pick(random, LIGHT))
    looks = []
    colours = list(COLOURS)
    for _ in range(_pick(random, (1, 2, 3))):
        colour = colours.pop(_pick(random, range(len(colours))))
        size = _pick(random, tuple(RADII))
        looks.append((_pick(random, tuple(OUTLINES)), colour, size, _pick(random, RADII[size])))
    # The looks stay and only the places are drawn again, or else crowded scenes would be rare.
    while True:
        items = _ordered([_place(random, *look, split) for look in looks])
        if items:
            return Scene(items, pixels, background)


def _place(random: Random, shape: str, colour: str, size: str, radius: int, split: str) -> Item:
    """Put the item where ``x + y``, divided by three, leaves the remainder of the split.

    So no two splits have a layout in common, yet each covers the whole picture.
    """
    border = math.ceil(radius * REACH) + GAP
    free = range(border, UNITS - border + 1)
    x = _pick(random, free)
    first = (SPLITS.index(split) - x - border) % len(SPLITS)
    return Item(shape, colour, size, x, _pick(random, free[first :: len(SPLITS)]), radius)


def _ordered(items: list[Item]) -> tuple[Item, ...] | None:
    """The items as captions name them, or None if they are too close or no such order is clear.

    The first stands in one relation to all others, and the second in one to the third. A relation
    never holds both ways, so there is at most one such order.
    """
    for a, b in combinations(items, 2):
        if max(abs(a.x - b.x), abs(a.y - b.y)) < (a.radius + b.radius) * REACH + GAP:
            return None
    for order in permutations(items):
        to_lead = {relation(order[0], item) for item in order[1:]}
        among_rest = {relation(a, b) for a, b in pairwise(order[1:])}
        if len(to_lead) <= 1 and None not in to_lead | among_rest:
            return order
    return None


def _pick(random: Random, choices: Sequence[T]) -> T:
    # Of Random's methods only random() promises the same numbers in every version of Python.
    return choices[int(random.random() * len(choices))]
