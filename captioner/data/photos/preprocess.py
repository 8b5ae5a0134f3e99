"""From a photo of any shape to the square of pixels that the model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captioner.config.declare import check
from captioner.config.model import EncoderConfig
from captioner.data.photos.image import Source, load_photo
from captioner.data.records import Box
from captioner.errors import CaptionerError

SHOWN = 800  # the longest side, in pixels, of a photo that is kept to be shown


class View(NamedTuple):
    """A photo as the model sees it and, where it will be shown, as people do.

    Attributes:
        square: what the model sees, S by S pixels.
        photo: all of it, upright, no side longer than ``SHOWN``.
        frame: where in the photo the square stands.
    """

    square: Image.Image
    photo: Image.Image | None = None
    frame: Box | None = None


@dataclass(frozen=True)
class Preprocess:
    """What part of a photo a model sees, and at what size.

    Attributes:
        image_size: side S of the square that the model sees, in pixels.
        resize: ``crop`` takes the centre square of the photo, ``squash`` makes all of it square.
    """

    image_size: int
    resize: str

    @classmethod
    def of(cls, encoder: EncoderConfig) -> Preprocess:
        """The preprocessing that an encoder declares.

        Raises:
            CaptionerError: a value of its configuration means nothing.
        """
        check(encoder, "encoder")
        if encoder.image_size is None:
            raise CaptionerError("encoder.image_size: a value is needed")
        return cls(encoder.image_size, encoder.resize)

    def view(self, source: Source, shown: bool = False) -> View:
        """Read a photo; ``shown`` keeps all of it beside the square.

        Raises:
            CaptionerError: the source is not a whole image of a known format.
        """
        image, photo = load_photo(source, self.image_size, SHOWN if shown else None)
        square = self.frame(image)
        if not shown:
            return View(square)
        photo.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return View(square, photo, self.box(photo.size))

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
