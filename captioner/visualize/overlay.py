"""Attention laid over the photo it looks at: upsampled smoothly, and coloured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from captioner.errors import CaptionerError

if TYPE_CHECKING:
    from captioner.caption import Caption

Floats = NDArray[np.float32]

COLOURS = "inferno"  # perceptually uniform, and dark where there is no attention
STRENGTH = 0.5  # of the colours; the rest is the photo in grey
SPREAD = 0.75  # of the Gaussian, in cells; the paper's 20 pixels are 1.25 cells of its 14 x 14 map
LOWEST_TOP = 2.0  # so that nearly uniform attention looks flat, not like a landscape


def maps_and_square(caption: Caption, picture: str) -> tuple[Floats, Image.Image]:
    """A caption's attention (words, rows, columns), and the square that the model looked at.

    Args:
        picture: what is to be made of them, for the error.

    Raises:
        CaptionerError: the caption was made without attention.
    """
    if caption.attention is None or caption.image is None:
        raise CaptionerError(f"{picture}: the caption has no attention, caption with attention=True")
    return caption.attention, caption.image.convert("RGB")


def upsample(attention: Floats, height: int, width: int | None = None) -> Floats:
    """Attention maps (words, rows, columns) as smooth heat maps (words, height, width), or square ones.

    A heat map is in multiples of uniform attention: 1 where a cell gets its equal share. Upsampling
    and the paper's Gaussian filter are one step: each pixel is the mean of the cells, weighted by a
    Gaussian of their distance. So no value leaves the range of the cells, and a uniform map stays
    uniform.
    """
    _, rows, columns = attention.shape
    down, across = _gaussian_weights(height, rows), _gaussian_weights(width or height, columns)
    return down @ (attention * rows * columns) @ across.T


def _gaussian_weights(size: int, cells: int) -> Floats:
    """How much each of ``size`` pixels takes from each cell along one side: (size, cells)."""
    pixels = (np.arange(size) + 0.5) * cells / size - 0.5  # centres, in cells
    distances = pixels[:, None] - np.arange(cells)
    weights = np.exp(-((distances / SPREAD) ** 2) / 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def top_of_scale(heat: Floats) -> float:
    """The heat that gets the brightest colour, one for all words so that they can be compared."""
    return max(LOWEST_TOP, float(heat.max(initial=0)))


def overlay(image: Image.Image, heat: Floats, top: float, part: float = 1) -> Image.Image:
    """The photo in grey under the colours of one heat map (height, width), of the map's size.

    Args:
        image: the photo, resized to the map.
        heat: what :func:`upsample` gives for one word.
        top: the heat that gets the brightest colour.
        part: of the colours' strength, below 1 for a quiet map.
    """
    height, width = heat.shape
    grey = image.convert("L").resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    colours = Image.fromarray(colormaps[COLOURS](heat / top, bytes=True)[..., :3])
    return Image.blend(grey, colours, part * STRENGTH)
