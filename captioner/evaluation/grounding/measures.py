"""Whether attention maps are where they should be, and how they look: measures on tensors alone.

A map is a row of ``locations`` weights that sum to 1, the feature map's cells row after row. The image is
a square with sides of 1, in which cell (row, column) takes its equal part and an annotation stands for its
cell's centre, ((column + 0.5) / columns, (row + 0.5) / rows). Boxes are left, top, right, bottom therein.

What a map has of a region (a box, as weights over the cells) is the sum of their product:

    pointing game (Zhang et al. 2016, arXiv 1608.00507)   peaks(maps), holds_centre(boxes)
    with a tolerance of half a cell around the box        peaks(maps), touched(boxes)
    attention mass                                        maps, covered(boxes)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def covered(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which share of each cell lies in the box: ``(boxes, 4)`` to ``(boxes, locations)``, from 0 to 1."""
    rows, columns = grid
    across = _overlap(boxes[:, 0], boxes[:, 2], columns)
    down = _overlap(boxes[:, 1], boxes[:, 3], rows)
    return (down[:, :, None] * across[:, None, :]).flatten(1)


def holds_centre(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """1 for cells whose centre lies in the box, else 0: ``(boxes, 4)`` to ``(boxes, locations)``."""
    rows, columns = grid
    across = _inside(boxes[:, 0], boxes[:, 2], columns)
    down = _inside(boxes[:, 1], boxes[:, 3], rows)
    return (down[:, :, None] & across[:, None, :]).flatten(1).to(boxes.dtype)


def touched(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """1 for cells that the box reaches into, else 0: ``(boxes, 4)`` to ``(boxes, locations)``."""
    return (covered(boxes, grid) > 0).to(boxes.dtype)


def peaks(maps: Tensor) -> Tensor:
    """Each map with all its weight on its highest cell, shared where several are equally high."""
    highest = (maps == maps.amax(dim=-1, keepdim=True)).to(maps.dtype)
    return highest / highest.sum(dim=-1, keepdim=True)


def of_other_images(maps: Tensor, image: Tensor) -> Tensor:
    """For each map the mean of all maps that belong to other images, NaN where there is none.

    Args:
        maps: ``(maps, locations)``.
        image: number of each map's image, from 0, ``(maps,)``.
    """
    images = int(image.max()) + 1 if len(image) else 0
    total = maps.new_zeros(images, maps.shape[-1]).index_add(0, image, maps)
    count = torch.bincount(image, minlength=images)
    others = len(maps) - count[image]
    mean = (total.sum(0) - total[image]) / others[:, None]
    return mean.masked_fill((others == 0)[:, None], math.nan)


def normalized_entropy(maps: Tensor) -> Tensor:
    """Entropy over that of a uniform map, ``(maps,)``: 1 looks everywhere, 0 at one location alone."""
    return torch.special.entr(maps).sum(-1) / math.log(maps.shape[-1])


def moved(maps: Tensor) -> Tensor:
    """Which share of the attention moves from each map to the next, ``(maps - 1,)``.

    The total variation distance: 0 if the maps are equal, 1 if they have no location in common.
    """
    return (maps[1:] - maps[:-1]).abs().sum(-1) / 2


def apart(maps: Tensor) -> Tensor:
    """Each map's total variation distance from the mean of all, ``(maps,)``."""
    return (maps - maps.mean(0)).abs().sum(-1) / 2


def _overlap(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Which share of each cell along one side lies between low and high, ``(boxes, cells)``."""
    edges = torch.arange(cells + 1, dtype=low.dtype, device=low.device) / cells
    upper = torch.minimum(high[:, None], edges[1:])
    lower = torch.maximum(low[:, None], edges[:-1])
    return (upper - lower).clamp_min(0) * cells


def _inside(low: Tensor, high: Tensor, cells: int) -> Tensor:
    centres = (torch.arange(cells, dtype=low.dtype, device=low.device) + 0.5) / cells
    return (low[:, None] <= centres) & (centres < high[:, None])
