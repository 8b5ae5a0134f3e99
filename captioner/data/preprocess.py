"""From a photo of any shape to the square of pixels that the model sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captioner.data.records import Box
from captioner.errors import check_choice, check_range

RESIZES = ("crop", "squash")


@dataclass(frozen=True)
class Preprocess:
    """What part of a photo a model sees, and at what size.

    Attributes:
        image_size: side S of the square that the model sees, in pixels.
        resize: ``crop`` takes the centre square of the photo, ``squash`` makes all of it square.

    Raises:
        CaptionerError: a value is out of range or not a choice.
    """

    image_size: int
    resize: str

    def __post_init__(self) -> None:
        check_range(self.image_size, "encoder.image_size", low=1)
        check_choice(self.resize, RESIZES, "encoder.resize")

    def box(self, size: tuple[int, int]) -> Box:
        """The part of a photo of ``size`` (width, height) that the model sees, in its pixels."""
        width, height = size
        if self.resize == "squash":
            return 0, 0, width, height
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side

    def place(self, box: Box, size: tuple[int, int]) -> Box:
        """Where a box of a photo of ``size`` falls in the square, whose sides are taken as 1.

        What the model does not see is cut off; a box wholly outside becomes one without area.
        """
        left, top, right, bottom = self.box(size)
        xs = ((x - left) / (right - left) for x in (box[0], box[2]))
        ys = ((y - top) / (bottom - top) for y in (box[1], box[3]))
        (x0, x1), (y0, y1) = ([min(max(v, 0.0), 1.0) for v in side] for side in (xs, ys))
        return x0, y0, x1, y1

    def frame(self, image: Image.Image) -> Image.Image:
        """The square, S by S pixels, that the model sees of an RGB photo of any shape."""
        # Cropping and resizing in one call never enlarges what is cut off, and reducing_gap first
        # shrinks what is long by a whole number: a 30000 x 1 photo needs no large intermediate.
        square = (self.image_size, self.image_size)
        return image.resize(square, Image.Resampling.BILINEAR, self.box(image.size), reducing_gap=3.0)

    def pixels(self, framed: Image.Image) -> Tensor:
        """The square as uint8 of shape (3, S, S)."""
        return torch.from_numpy(np.array(framed)).permute(2, 0, 1).contiguous()
