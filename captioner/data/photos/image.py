"""Images of any format, source and state: read as upright RGB, or refused with one line.

Whatever changes the pixels of a sound photo, here or below, raises ``DECODING`` in ``formats.py``.
"""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from captioner.data.photos.colour import as_srgb
from captioner.data.photos.depth import brightened, declared_white, has_deep_colours
from captioner.data.photos.formats import RAW, known_formats, missing_plugin
from captioner.data.photos.jpeg_scans import has_more_scans
from captioner.data.photos.quiet import quiet_libraries
from captioner.data.photos.raw import preview
from captioner.data.photos.rgb import as_rgb
from captioner.errors import CaptionerError, printable

Source = Path | str | bytes | BinaryIO | Callable[[], Image.Image] | Image.Image

# What Pillow warns of, such as damaged EXIF, is handled here or raised as an error. One filter for
# good, as warnings.catch_warnings is not safe in the threads that read photos.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_PIXELS = 178_956_970  # more is taken for a decompression bomb; the limit of Pillow's own error
MAX_SCANS = 100  # of a JPEG; libtiff has the same limit

DECODER_ERROR = re.compile(r"decoder error (-\d+)")  # all that Pillow says of some formats
DECODER_REASONS = {"-8": "its header is damaged", "-9": "out of memory"}
ORIENTATION_TAG = 0x0112
TURNS = {  # EXIF orientation -> what makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnknownFormat(CaptionerError):
    """What was read is not an image, or its format is not supported."""


class TooManyPixels(CaptionerError):
    """An image is too large to be decoded."""


def load_image(source: Source, draft: int | None = None) -> Image.Image:
    """Read the first frame of an image as upright RGB, with white where it is transparent.

    Args:
        source: a path, the bytes of a file, an open binary file, an image, or a function that
            draws one.
        draft: the shortest side in pixels that is needed. A large JPEG is then decoded at a half,
            a quarter or an eighth of its size, which is faster, but never below that side.

    Raises:
        CaptionerError: the source is not a whole image of a known format; the line names the path.
    """
    return load_photo(source, draft)[0]


def load_photo(
    source: Source, draft: int | None = None, longest: int | None = None
) -> tuple[Image.Image, Image.Image]:
    """As :func:`load_image`, and with it the photo in more detail, both from one decoding.

    Args:
        longest: the pixels that the photo's longer side is to have at least, if it has as many.
    """
    if callable(source):
        source = source()
    try:
        return _load(source, draft, longest)
    except CaptionerError as error:
        kind, message = type(error), str(error)
    raise kind(message)  # the first one's traceback would keep half-decoded pixels alive


def _load(
    source: Path | str | bytes | BinaryIO | Image.Image, draft: int | None, longest: int | None
) -> tuple[Image.Image, Image.Image]:
    if isinstance(source, Image.Image):
        with _reading("image"):
            return _upright_rgb(source, getattr(source, "filename", None) or getattr(source, "fp", None))
    file, name = _open(source)
    if isinstance(source, (str, Path)) and os.path.splitext(source)[1].lower() in RAW:
        with file:
            file = preview(file, name)
    with file, _reading(name):
        if file.seek(0, os.SEEK_END) == 0:
            raise CaptionerError(f"{name}: is empty")
        image = Image.open(file, formats=known_formats())
        if image.width * image.height > MAX_PIXELS:  # Pillow's own limit may be switched off
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO") and has_more_scans(file, MAX_SCANS):
            raise CaptionerError(f"{name}: has more than {MAX_SCANS} scans")
        reduction = 1
        if draft is not None and image.format in ("JPEG", "MPO"):
            reduction = _set_scale(image, draft, longest)
        with quiet_libraries() if image.format == "TIFF" else nullcontext():
            return _upright_rgb(image, file, reduction)


def _set_scale(image: Image.Image, draft: int, longest: int | None) -> int:
    """Have a JPEG decoded at a fraction of its size; returns by what that may be reduced for ``draft``."""
    width, height = image.size
    wanted = scale = _scale(min(width, height), draft)
    if longest is not None:
        scale = min(wanted, _scale(max(width, height), longest))
    image.draft("RGB", (max(1, width // scale), max(1, height // scale)))
    return wanted // scale


def _scale(side: int, least: int) -> int:
    """The largest fraction, one by what it gives, at which a side keeps so many pixels."""
    return next(scale for scale in (8, 4, 2, 1) if side // least >= scale or scale == 1)


def check_pixels(data: bytes, limit: int) -> None:
    """Refuse the bytes of an image by what its header says, before anything is decoded.

    Args:
        limit: largest number of pixels.

    Raises:
        UnknownFormat, TooManyPixels: so it is.
        CaptionerError: it is empty, or its header is damaged.
    """
    if not data:
        raise CaptionerError("image: is empty")
    with _reading("image"), Image.open(io.BytesIO(data), formats=known_formats()) as image:
        if image.width * image.height > limit:
            raise TooManyPixels(f"image: has {image.width} x {image.height} pixels, more than {limit}")


def _open(source: Path | str | bytes | BinaryIO) -> tuple[BinaryIO, str]:
    """The source as a file that can be sought, and its name in messages."""
    if isinstance(source, bytes):
        return io.BytesIO(source), "image"
    if not isinstance(source, (Path, str)):
        name = printable(getattr(source, "name", "image"))
        with _reading(name):
            return io.BytesIO(source.read()), name
    name = printable(source)
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(source).close()  # fails if we may not read it
            raise CaptionerError(f"{name}: is a folder, not an image")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            raise CaptionerError(f"{name}: is a pipe or a device, not an image")
        return open(source, "rb"), name
    except OSError as error:
        dangling = isinstance(error, FileNotFoundError) and os.path.islink(source)
        reason = "is a link to a missing file" if dangling else error.strerror
        raise CaptionerError(f"{name}: {reason}") from None
    except ValueError as error:  # a zero byte in the path
        raise CaptionerError(f"{name}: {error}") from None


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises, which for damaged bytes may be anything, into one line."""
    try:
        yield
    except CaptionerError:
        raise
    except UnidentifiedImageError:
        choices, plugin = ", ".join(known_formats()), missing_plugin(os.path.splitext(name)[1].lower())
        hint = f"; for this one: pip install {plugin}" if plugin else ""
        raise UnknownFormat(f"{name}: is not an image of a known format ({choices}){hint}") from None
    except Image.DecompressionBombError:
        raise TooManyPixels(f"{name}: has more than {MAX_PIXELS} pixels") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if code := DECODER_ERROR.match(reason):
            reason = DECODER_REASONS.get(code[1], "its data is damaged")
        raise CaptionerError(f"{name}: cannot be decoded ({reason})") from error


def _upright_rgb(
    image: Image.Image, file: str | BinaryIO | None, reduction: int = 1
) -> tuple[Image.Image, Image.Image]:
    """The image reduced, and as it is.

    A JPEG decoded at an eighth holds the means of its blocks. So does one decoded at a quarter and reduced by
    two, but for rounding; which is before it is turned, as a block at the border may be cut.
    """
    if 0 in image.size:
        raise ValueError("it has no pixels")
    deep = has_deep_colours(image)
    white = declared_white(image) if deep or image.mode.startswith("I") else None
    image.load()  # before its EXIF is read, as loading turns a TIFF
    if deep and file:
        image = brightened(image, white, partial(Image.open, file))
    turn = _turn(image)
    whole = as_rgb(as_srgb(image), white)
    upright = []
    for rgb in (whole.reduce(reduction) if reduction > 1 else whole, whole):
        turned = rgb if turn is None else rgb.transpose(turn)
        turned.info = {}  # or a later reader of its EXIF would turn it again
        upright.append(turned)
    return upright[0], upright[1]


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return TURNS.get(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF around a sound photo
        return None
