"""The preview that a camera embeds in its raw files, read by LibRaw (through rawpy)."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from PIL import Image

from captioner.data.photos.quiet import quiet_libraries
from captioner.errors import CaptionerError

TURNS = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}


def preview(file: BinaryIO, name: str) -> BinaryIO:
    """The largest preview of a raw file, as an image file with its orientation in it or applied.

    Raises:
        CaptionerError: rawpy is not installed, the file has no preview, or it is damaged.
    """
    try:
        import rawpy
    except ImportError:
        raise CaptionerError(f"{name}: a raw file; its preview needs pip install 'captioner[raw]'") from None
    try:
        with quiet_libraries(), rawpy.imread(file) as raw:
            thumb, flip = raw.extract_thumb(), raw.sizes.flip
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise CaptionerError(f"{name}: the preview of this raw file cannot be read ({reason})") from None
    if thumb.format == rawpy.ThumbFormat.JPEG:
        return io.BytesIO(bytes(thumb.data))
    image = Image.fromarray(np.asarray(thumb.data))
    stream = io.BytesIO()
    (image.transpose(TURNS[flip]) if flip in TURNS else image).save(stream, "png")
    stream.seek(0)
    return stream
