"""Which value of an image of more than 8 bits is white, where its file says so."""

from __future__ import annotations

import sys

from PIL import Image

FULL = 65535
SCALES = (1023, 4095, 16383, FULL)  # what may stand for white: 10, 12, 14 and 16 bits
DEEP = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")  # how the bytes lie in the file
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


def brightened(image: Image.Image, declared: int | None) -> Image.Image:
    """A loaded image with deep colours, scaled as if white were ``declared`` or the lowest usual value.

    What is left of 12 bits are 16 levels a colour.
    """
    bands: tuple[tuple[int, int], ...] = image.getextrema()  # type: ignore[assignment]
    brightest, opaque = max(high for _, high in bands[:3]), bands[-1][1]
    scales = (declared, FULL) if declared else SCALES
    white = next(scale >> 8 for scale in scales if brightest <= scale >> 8)
    if white == 255 or not brightest or "transparency" in image.info:  # a colour that is told by its value
        return image
    if not declared:
        tell_guess(256 * white + 255)
    scaled = [min(255, round(level * 255 / white)) for level in range(256)]
    alpha = scaled if 0 < opaque <= white else list(range(256))  # which may have all 16 bits
    return image.point(scaled * 3 + (alpha if image.mode == "RGBA" else []))


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
