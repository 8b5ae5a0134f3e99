"""Wide and local maps joined: an annotation that sees far, and beside it what lies in its own cell.

An annotation of a deep network sees far beyond its cell, and training may put what it knows of a thing into
the annotation next to it, so that the attention's peak stands beside the thing. What an early stage gives is
local. Here its map is brought to the grid of the last one and joined to it; the attention scores locations by
the local part alone (:attr:`captioner.model.attention.Attention.local`) and sees both.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.errors import CaptionerError, choose

Stages = OrderedDict[str, nn.Module]


class Joined(nn.Module):
    """What the stages in ``rest`` make of a map, and the map itself brought to their grid."""

    def __init__(self, rest: Stages) -> None:
        super().__init__()
        self.rest = nn.Sequential(rest)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(images, local, side, side)`` to ``(images, wide + local, rows, columns)``."""
        wide = self.rest(maps)
        return torch.cat((wide, _on_grid(maps, wide.shape[-1])), dim=1)


def joined(stages: Stages, local: str) -> Stages:
    """The stages with all after ``local`` as one that joins its map, under the name of the first of them.

    Raises:
        CaptionerError: there is no such stage, or nothing after it.
    """
    names = list(stages)
    place = choose({name: i for i, name in enumerate(names)}, local, "encoder.local") + 1
    if place == len(names):
        raise CaptionerError(
            f"encoder.local: {local} is the stage of the annotations themselves; give an earlier one"
        )
    rest = OrderedDict((name, stages[name]) for name in names[place:])
    return OrderedDict([*((name, stages[name]) for name in names[:place]), (names[place], Joined(rest))])


def _on_grid(maps: Tensor, side: int) -> Tensor:
    """Means of the maps' cells around every cell of a coarser grid, by halves as strided convolutions go."""
    if maps.dim() != 4 or maps.shape[-2] != maps.shape[-1]:
        raise CaptionerError("encoder.local: these stages give no maps that could be joined")
    while maps.shape[-1] > side:
        if maps.shape[-1] % 2:  # a cell lies on every second one
            maps = F.avg_pool2d(maps, 3, stride=2, padding=1, count_include_pad=False)
        else:  # a cell lies on two
            maps = F.avg_pool2d(maps, 2)
    if maps.shape[-1] != side:
        raise CaptionerError(
            f"encoder.local: its map cannot be halved to {side} x {side}; give a later stage, or another "
            "encoder.image_size"
        )
    return maps
