"""Images of every mode as RGB, a strip at a time, so that a large one is never held more than twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from captioner.data.photos.depth import FULL, WHITES, tell_guess

STRIP = 2**20  # pixels that are converted at a time


def as_rgb(image: Image.Image, white: int | None = None) -> Image.Image:
    """A copy in RGB, with white where the image is transparent.

    Args:
        white: the value of a grey image of integers of more than 8 bits that is white, if that is known.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _by_strips(image, _eight_bit(image, white))
    if image.has_transparency_data:
        return _by_strips(image, _on_white)
    return image.convert("RGB")


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    rgb = Image.new("RGB", image.size)
    for strip, top in _strips(image):
        rgb.paste(convert(strip).convert("RGB"), (0, top))
    return rgb


def _strips(image: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    """The image in pieces as wide as it is, each with the row that it begins at."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))), top


def _on_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def _eight_bit(image: Image.Image, declared: int | None) -> Callable[[Image.Image], Image.Image]:
    """What scales a grey image of 16 or 32 bits to 8, where Pillow's ``convert`` would clip it.

    White is the value that was declared, if no pixel exceeds it; else it is that of 16 bits, as PNG spreads
    values over all bits whatever it declares. Where nothing was declared it is that of the fewest bits,
    from 8, that no pixel exceeds, and beyond those the brightest pixel. Floating-point images run from their
    darkest to their brightest pixel, unless they lie between 0 and 1, which then are black and white.
    """
    ranges = [(values.min(), values.max()) for values in (_values(strip) for strip, _ in _strips(image))]
    darkest, brightest = min(low for low, _ in ranges), max(high for _, high in ranges)
    if image.mode == "F":
        black, white = (0, 1) if darkest >= 0 and brightest <= 1 else (darkest, brightest)
    else:
        black, scales = min(0, darkest), (declared, FULL) if declared else WHITES
        white = next((scale for scale in scales if brightest <= scale), brightest)
    usual = ((0, FULL),) if image.mode.startswith("I;16") else ((0, 1), (0, 255), (0, FULL))
    if not declared and (black, white) not in usual:
        tell_guess(white)
    white = max(white, black + 1e-6)  # an image of one colour

    def scaled(strip: Image.Image) -> Image.Image:
        return Image.fromarray(np.rint((_values(strip) - black) / (white - black) * 255).astype(np.uint8))

    return scaled


def _values(image: Image.Image) -> np.ndarray:
    values = np.asarray(image, np.float32)
    return np.where(np.isfinite(values), values, 0)
