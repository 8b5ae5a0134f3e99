"""Whether the maps of words lie on what the words name, by class of word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.data.records import Box
from captioner.evaluation.grounding.measures import covered, holds_centre, of_other_images, peaks, touched


class PlacedWord(NamedTuple):
    """A word that names something: its class, its image's number, its map and the box in the square."""

    kind: str
    image: int
    map: Tensor
    box: Box


@dataclass(frozen=True)
class VersusChance:
    """A mean over words, and what it would be by chance, each from 0 to 1.

    Attributes:
        model: of the words' own maps.
        uniform: of a map of equal weights.
        shuffled: of the maps of other images' words of the class, their expected value; None where
            there are none.
    """

    model: float
    uniform: float
    shuffled: float | None


@dataclass(frozen=True)
class Placement:
    """Whether the maps of a class of words lie on what the words name, over ``words``.

    Attributes:
        pointing: the centre of the map's highest cell lies in the box.
        near: the same with a tolerance of half a cell, that is, the box reaches into the highest cell.
        mass: share of the attention in the box, each cell's spread evenly over the cell.
    """

    words: int
    pointing: VersusChance
    near: VersusChance
    mass: VersusChance


def placements(words: Sequence[PlacedWord], grid: tuple[int, int]) -> dict[str, Placement]:
    """The placement of each class of words, in alphabetical order, and of ``all``."""
    kinds = sorted({word.kind for word in words})
    found = {kind: _placement([w for w in words if w.kind == kind], grid) for kind in kinds}
    return {**found, "all": _placement(words, grid)} if found else {}


def _placement(words: Sequence[PlacedWord], grid: tuple[int, int]) -> Placement:
    maps = torch.stack([w.map for w in words]).double()
    boxes = torch.tensor([w.box for w in words], dtype=torch.float64)
    image = torch.tensor([w.image for w in words])
    highest = peaks(maps)
    return Placement(
        len(words),
        versus_chance(highest, holds_centre(boxes, grid), image),
        versus_chance(highest, touched(boxes, grid), image),
        versus_chance(maps, covered(boxes, grid), image),
    )


def versus_chance(maps: Tensor, region: Tensor, image: Tensor) -> VersusChance:
    """What maps ``(words, locations)`` have of their words' regions, as weights over the cells."""
    shuffled = (of_other_images(maps, image) * region).sum(-1)
    return VersusChance(
        float((maps * region).sum(-1).mean()),
        float(region.mean()),
        None if shuffled.isnan().all() else float(shuffled.nanmean()),
    )
