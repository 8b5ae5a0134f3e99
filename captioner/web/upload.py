"""A photo and its options, read from a request within limits of size, pixels and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import NamedTuple

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from captioner.config.search import SearchConfig
from captioner.data.photos.image import TooManyPixels, UnknownFormat, check_pixels
from captioner.errors import CaptionerError
from captioner.web.options import OPTIONS, read_options
from captioner.web.refusal import Refused

FIELD = "photo"  # the form's field with the file
FRAMING = 2**16  # bytes that a form may have around the file
LONGEST_OPTION = 1000  # characters


@dataclass(frozen=True)
class Limits:
    """What one client may cost.

    Attributes:
        upload: bytes of a photo.
        pixels: of a photo.
        seconds: that an upload may take.
        queue: photos that are uploaded, wait or are captioned at a time, those of all clients.
    """

    upload: int = 20 * 10**6
    pixels: int = 64 * 10**6
    seconds: float = 30.0
    queue: int = 32


class Upload(NamedTuple):
    name: str
    photo: bytes
    options: SearchConfig
    pictures: bool


async def read_upload(request: Request, limits: Limits) -> Upload:
    """The photo of a form and the options of the form and the address, those of the form first.

    Raises:
        Refused: 400 for a broken form, 408 for one that takes too long, 413 for one that is too large, 415
            for anything but a form, 422 for one without photo or with wrong options.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Refused(415, f"Content-Type: must be multipart/form-data, with the file as {FIELD!r}")
    try:
        form = await asyncio.wait_for(_parse(request, limits), limits.seconds)
    except asyncio.TimeoutError:
        late = f"upload: took longer than {limits.seconds:g} seconds"
        raise Refused(408, late, {"Connection": "close"}) from None
    except MultiPartException as error:
        raise Refused(400, f"form: {error.message}") from None
    values = dict(request.query_params) | {n: v for n, v in form if isinstance(v, str)}
    files = {name: file for name, file in form if isinstance(file, UploadFile)}
    if FIELD not in files:
        there = ", ".join(map(repr, files)) or "none"
        raise Refused(422, f"form: there is no file {FIELD!r} in it (files: {there})")
    data = await files[FIELD].read()
    if len(data) > limits.upload:
        raise too_large(limits)
    try:
        return Upload(files[FIELD].filename or "", data, *read_options(values))
    except CaptionerError as error:
        raise Refused(422, str(error)) from None


async def _parse(request: Request, limits: Limits) -> list[tuple[str, str | UploadFile]]:
    most = limits.upload + FRAMING

    async def bounded() -> AsyncGenerator[bytes, None]:
        read = 0
        async for chunk in request.stream():
            read += len(chunk)
            if read > most:
                raise too_large(limits)
            yield chunk

    if int(request.headers.get("content-length", 0)) > most:
        raise too_large(limits)
    parser = MultiPartParser(
        request.headers, bounded(), max_files=1, max_fields=len(OPTIONS) + 1, max_part_size=LONGEST_OPTION
    )
    parser.spool_max_size = most  # in memory, not on the disk
    return (await parser.parse()).multi_items()


def too_large(limits: Limits) -> Refused:
    return Refused(413, f"upload: is larger than {limits.upload / 10**6:g} MB")


def check_photo(photo: bytes, limits: Limits) -> None:
    """Refuse what should not be decoded, by its header alone.

    Raises:
        Refused: 413 for a photo of too many pixels, 415 for no image, 422 for a broken one.
    """
    try:
        check_pixels(photo, limits.pixels)
    except TooManyPixels as error:
        raise Refused(413, str(error)) from None
    except UnknownFormat as error:
        raise Refused(415, str(error)) from None
    except CaptionerError as error:
        raise Refused(422, str(error)) from None
