"""Whether the maps of words stand on what the words name, by class of word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.data.records import Box
from captioner.evaluation.grounding.measures import covered, holds_centre, of_other_images, peaks, touched


class Sight(NamedTuple):
    """A word that names something: its class, its image's number, its map and the box in the square."""

    kind: str
    image: int
    map: Tensor
    box: Box


@dataclass(frozen=True)
class Against:
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
    """Whether the maps of a class of words stand on what the words name, over ``words``.

    Attributes:
        pointing: the centre of the map's highest cell lies in the box.
        near: the same with a tolerance of half a cell, that is, the box reaches into the highest cell.
        mass: share of the attention in the box, each cell's spread evenly over the cell.
    """

    words: int
    pointing: Against
    near: Against
    mass: Against


def placements(sights: Sequence[Sight], grid: tuple[int, int]) -> dict[str, Placement]:
    """The placement of each class of words, in alphabetical order, and of ``all``."""
    kinds = sorted({sight.kind for sight in sights})
    found = {kind: _placement([s for s in sights if s.kind == kind], grid) for kind in kinds}
    return {**found, "all": _placement(sights, grid)} if found else {}


def _placement(sights: Sequence[Sight], grid: tuple[int, int]) -> Placement:
    maps = torch.stack([s.map for s in sights]).double()
    boxes = torch.tensor([s.box for s in sights], dtype=torch.float64)
    image = torch.tensor([s.image for s in sights])
    highest = peaks(maps)
    return Placement(
        len(sights),
        _against(highest, holds_centre(boxes, grid), image),
        _against(highest, touched(boxes, grid), image),
        _against(maps, covered(boxes, grid), image),
    )


def _against(maps: Tensor, region: Tensor, image: Tensor) -> Against:
    shuffled = (of_other_images(maps, image) * region).sum(-1)
    return Against(
        float((maps * region).sum(-1).mean()),
        float(region.mean()),
        None if shuffled.isnan().all() else float(shuffled.nanmean()),
    )
