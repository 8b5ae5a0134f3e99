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
from captioner.model.timm_networks import Stages


class Joined(nn.Module):
    """What the stages in ``rest`` make of a map, and the map itself brought to their grid."""

    def __init__(self, rest: Stages) -> None:
        super().__init__()
        self.rest = nn.Sequential(rest)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(images, local, side, side)`` to ``(images, wide + local, rows, columns)``."""
        wide = self.rest(maps)
        return torch.cat((wide, _on_grid(maps, wide.shape[-2:])), dim=1)


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


def _on_grid(maps: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Means of the maps' cells around every cell of a coarser grid, by halves as strided convolutions go.

    A cell lies on two cells of a side of even length, and on every second one of an odd one.
    """
    while maps.dim() == 4 and maps.shape[-2] > grid[0] and maps.shape[-1] > grid[1]:
        odd = [side % 2 for side in maps.shape[-2:]]
        maps = F.avg_pool2d(maps, [2 + o for o in odd], stride=2, padding=odd, count_include_pad=False)
    if maps.dim() != 4 or maps.shape[-2:] != grid:
        raise CaptionerError(
            f"encoder.local: what this stage gives, {tuple(maps.shape[1:])}, cannot be halved to the "
            f"annotations' grid, {tuple(grid)}; give a later stage, or another encoder.image_size"
        )
    return maps
