"""Colours as sRGB, which is what every model was trained on."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from PIL import Image, ImageCms

SRGB = ImageCms.createProfile("sRGB")
MODES = ("RGB", "CMYK", "L")  # that profiles describe


def as_srgb(image: Image.Image) -> Image.Image:
    """The image with its ICC profile applied; as it is without one, or with one that cannot be used."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in MODES:
        return image
    try:
        transform = _transform(profile, image.mode)
        return image if transform is None else ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, ValueError, OSError):  # a damaged profile, or one for another kind of image
        return image


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    """What turns such colours into sRGB; None where they are that already."""
    read = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(read).casefold():
        return None
    return ImageCms.buildTransform(read, SRGB, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
