"""Photos whose names do not say so: without an ending (of phones' caches), or with one such as .jpg_large."""

from __future__ import annotations

import os
import re

from captioner.data.photos.formats import extensions

MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP", re.DOTALL)
PLAIN_ENDING = re.compile(r"\.[a-z][a-z0-9]{0,4}")


def is_nameless_image(path: str) -> bool:
    """Whether a file begins as an image does and its name leaves open what it is.

    A usual ending of another kind (``.mov``, ``.txt``, ``.psd``) is believed.
    """
    ending = os.path.splitext(path)[1].lower()
    if PLAIN_ENDING.fullmatch(ending) and not ending.startswith(tuple(extensions())):
        return False
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return False
        with open(path, "rb") as file:
            return MAGIC.match(file.read(16)) is not None
    except (OSError, ValueError):
        return False
