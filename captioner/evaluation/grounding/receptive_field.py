"""How much of a photo an annotation sees: its effective receptive field (Luo et al. 2016, arXiv 1701.04128).

The gradient of an annotation with respect to the pixels tells how much each pixel matters to it. In a deep
network most of it lies around the annotation's cell, but far from all: a map can be read no finer than this.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.model.encoder import Encoder

SHARES = (0.5, 0.9)  # of the gradient


@dataclass(frozen=True)
class ReceptiveField:
    """Of the annotation in the middle of the feature map, the mean over ``images``.

    Attributes:
        own_cell: share of the gradient's absolute values that lies in the annotation's own cell.
        cell: the cell's share of the photo: what ``own_cell`` would be if all pixels mattered alike.
        half, most: side of the square around the cell's centre that holds 50 and 90 % of it, as a share of
            the photo's side; above 1 where the square has to reach over an edge.
    """

    own_cell: float
    cell: float
    half: float
    most: float
    images: int


def receptive_field(encoder: Encoder, pixels: Tensor) -> ReceptiveField:
    """Measure it on some photos.

    Args:
        pixels: ``(images, 3, size, size)`` uint8.
    """
    (rows, columns), side = encoder.grid, pixels.shape[-1]
    row, column = rows // 2, columns // 2
    energy = torch.stack([_energy(encoder, one[None], row * columns + column) for one in pixels]).mean(0)
    share = energy / energy.sum()
    centres = (torch.arange(side, dtype=share.dtype) + 0.5) / side
    down, across = centres[:, None] * rows - row, centres * columns - column  # in cells, from its upper left
    inside = (down >= 0) & (down < 1) & (across >= 0) & (across < 1)
    reach = torch.maximum((down - 0.5).abs() / rows, (across - 0.5).abs() / columns) * 2  # a square's side
    order = reach.flatten().argsort(stable=True)
    held = share.flatten()[order].cumsum(0)
    ends = [min(int((held < wanted).sum()), len(order) - 1) for wanted in SHARES]
    half, most = (float(reach.flatten()[order[end]]) for end in ends)
    return ReceptiveField(float(share[inside].sum()), 1 / (rows * columns), half, most, len(pixels))


def _energy(encoder: Encoder, pixels: Tensor, location: int) -> Tensor:
    """How much an annotation's length changes with each pixel, ``(size, size)`` float64 on the CPU."""
    device = encoder.mean.device
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        given = pixels.to(device, torch.float32, copy=True).requires_grad_()
        annotation = encoder.differentiable(given)[0, location]
        (gradient,) = torch.autograd.grad(annotation.square().sum().sqrt(), given)
    return gradient[0].abs().sum(0).double().cpu()
