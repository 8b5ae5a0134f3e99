"""The image formats that are read: Pillow's, and those of its plugins that are installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from PIL import Image

# Pillow reads more, but some of those run other programs (EPS) or have no magic number (TGA).
PHOTO_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF", "JXL")
RAW = (".dng", ".cr2", ".nef", ".arw")  # of which the preview that the camera embedded is read
PLUGINS: dict[str, tuple[tuple[str, ...], Callable[[], object]]] = {  # module: endings, what registers it
    "pillow_heif": ((".heic", ".heif", ".hif"), lambda: import_module("pillow_heif").register_heif_opener()),
    "pillow_jxl": ((".jxl",), lambda: import_module("pillow_jxl")),
    "rawpy": (RAW, lambda: None),
}
EXTRAS = {"pillow_heif": "'captioner[heic]'", "pillow_jxl": "'captioner[jxl]'", "rawpy": "'captioner[raw]'"}

# Versions of the decoder. Raise one when photos of its kind come out with other pixels than before: cached
# annotations of such photos are then made anew, and those of the other kind are kept.
DECODING = {"JPEG": 1, "others": 2}


def with_decoding(path: str) -> str:
    """A photo's path and, after the first, the version of its decoder, by its ending; for names of caches."""
    kind = "JPEG" if os.path.splitext(path)[1].lower() in (".jpg", ".jpeg") else "others"
    return path if DECODING[kind] == 1 else f"{path}\0{DECODING[kind]}"


@cache
def known_formats() -> tuple[str, ...]:
    """Those of ``PHOTO_FORMATS`` that the installed Pillow and its plugins can read."""
    Image.init()
    for module, (_, register) in PLUGINS.items():
        if find_spec(module) is not None:
            register()
    return tuple(name for name in PHOTO_FORMATS if name in Image.OPEN)


@cache
def extensions() -> frozenset[str]:
    """The endings of image files that can be read, in lower case."""
    known = {*known_formats(), "MPO"}  # which JPEG's reader reads
    found = {ending for ending, name in Image.registered_extensions().items() if name in known}
    return frozenset(found | set(RAW if find_spec("rawpy") is not None else ()))


def missing_plugin(ending: str) -> str:
    """What to install for files with this ending; empty if nothing would help."""
    for module, (endings, _) in PLUGINS.items():
        if ending in endings and find_spec(module) is None:
            return EXTRAS[module]
    return ""
