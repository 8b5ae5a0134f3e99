"""Which value of an image of more than 8 bits is white, where its file says so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

FULL = 65535
WHITES = tuple(2**bits - 1 for bits in range(8, 17))  # of 8 to 16 significant bits
DEEP = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")  # how the bytes lie in the file
OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
STRIP = 2**20  # pixels that are scaled at a time
SPREAD = ("PPM", "JPEG2000")  # of which Pillow spreads every value over 16 bits
BITS_PER_SAMPLE, MAX_SAMPLE_VALUE = 258, 281  # TIFF tags
CONTAINERS = (8, 16, 32)  # bits of a TIFF's samples that may hold fewer


def declared_white(image: Image.Image) -> int | None:
    """The value that an image's file says is white; None if it does not say.

    Args:
        image: one of more than 8 bits a sample that is not loaded yet, as a PNG's file is closed by that.
    """
    try:
        if image.format in SPREAD:
            return FULL
        if image.format == "PNG":
            return _significant(image)
        return _largest_sample(image) if image.format == "TIFF" else None
    except Exception:  # damaged tags around a sound photo
        return None


def has_deep_colours(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet has bands of 16 bits, of which Pillow keeps the upper 8."""
    tiles = getattr(image, "tile", ())
    return image.mode in ("RGB", "RGBA") and any(kind in str(tile[3]) for tile in tiles for kind in DEEP)


def brightened(image: Image.Image, declared: int | None, again: Callable[[], Image.Image]) -> Image.Image:
    """A loaded image with deep colours, scaled as if white were ``declared`` or the lowest of ``WHITES``.

    Args:
        again: opens the same image, for the bytes that Pillow does not keep.
    """
    bands: tuple[tuple[int, int], ...] = image.getextrema()  # type: ignore[assignment]
    scales = (declared, FULL) if declared else WHITES
    used = max(high for _, high in bands[:3]) > scales[-2] >> 8  # as many bits as there are
    if used or declared == FULL or "transparency" in image.info:  # a colour that is told by its value
        return image
    low = _lower_bytes(again())
    brightest, opaque = (int(max(band)) for band in _brightest(image, low))
    white = next(scale for scale in scales if brightest <= scale)
    if white == FULL:
        return image
    if not declared and brightest:
        tell_guess(white)
    alpha = white if 0 < opaque <= white else FULL
    scale = np.array([white, white, white, alpha][: len(bands)], np.float32)
    for top, values in _strips(image, low):
        strip = np.rint(np.minimum(values / scale, 1) * 255).astype(np.uint8)
        image.paste(Image.fromarray(strip), (0, top))
    return image


def _lower_bytes(image: Image.Image) -> Image.Image:
    """Of the 16 bits of every band the lower 8, of an image that is not loaded yet."""
    tile = image.tile[0]  # type: ignore[attr-defined]
    raw = tile[3] if isinstance(tile[3], str) else tile[3][0]
    kind, order = raw.split(";")
    other = "RGBA" if kind == "LA" else f"{kind};{OTHER_BYTE[order]}"  # of LA's four bytes each is a band
    arguments = other if isinstance(tile[3], str) else (other, *tile[3][1:])
    make = getattr(type(tile), "_make", tuple)  # a named tuple since Pillow 11
    image.tile = [make((*one[:3], arguments)) for one in image.tile]  # type: ignore[attr-defined]
    image.load()
    if kind != "LA":
        return image
    _, grey, _, alpha = image.split()
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _strips(high: Image.Image, low: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """The values of 16 bits, some rows at a time, each with the first row's number."""
    rows = max(1, STRIP // high.width)
    for top in range(0, high.height, rows):
        box = (0, top, high.width, min(top + rows, high.height))
        upper, lower = (np.asarray(half.crop(box), np.float32) for half in (high, low))
        yield top, 256 * upper + lower


def _brightest(high: Image.Image, low: Image.Image) -> tuple[list[float], list[float]]:
    """The highest value in each strip, of the colours and of alpha."""
    strips = [(values[..., :3].max(), values[..., -1].max()) for _, values in _strips(high, low)]
    colours, alpha = zip(*strips)
    return list(colours), list(alpha)


_told: list[float] = []


def tell_guess(white: float) -> None:
    """Say, of the first such image only, which value was taken for white where the file does not tell."""
    if not _told and sys.stderr is not None:
        _told.append(white)
        print(
            "captioner: an image has more than 8 bits and does not say which value is white: "
            f"{white:g} is taken, as no pixel exceeds it (told once)",
            file=sys.stderr,
        )


def _significant(image: Image.Image) -> int | None:
    """By the sBIT chunk of a PNG, which Pillow passes over; it stands before the pixels."""
    file = getattr(image, "fp", None)
    if file is None:
        return None
    place = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"sBIT" and 1 <= length <= 4:
                bits = max(file.read(length - (length + 1) % 2))  # an even number has alpha's too
                return 2**bits - 1 if 1 <= bits <= 16 else None
            file.seek(length + 4, 1)
        return None
    finally:
        file.seek(place)


def _largest_sample(image: Image.Image) -> int | None:
    """By the tags of a TIFF."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    largest, bits = (_number(tags.get(tag)) for tag in (MAX_SAMPLE_VALUE, BITS_PER_SAMPLE))
    if largest:
        return largest
    return None if bits is None or bits in CONTAINERS else 2**bits - 1


def _number(value: object) -> int | None:
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) and first > 0 else None
