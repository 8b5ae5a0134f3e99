"""Many captioned photos as an index page that loads each photo's own page only when it is looked at.

Everything is a file beside the index, so that it opens from a disk, without a server, however many there are.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from captioner.system.atomic_files import write_whole
from captioner.visualize.document import document
from captioner.visualize.page import entry, page

if TYPE_CHECKING:
    from captioner.caption import Caption

THUMBNAIL = 112  # pixels, twice what is shown, for screens of high density
QUALITY = 80
SOURCES = ("img-src data: 'self' file:", "frame-src 'self' file:")  # what lies beside the index


class Item(NamedTuple):
    """A photo in the index.

    Attributes:
        link: of its page and thumbnail, relative to the index, without an ending.
    """

    link: str
    caption: str
    name: str
    folder: str


def photo_page(caption: Caption, name: str, path: Path) -> None:
    """Write the self-contained page of one photo.

    Raises:
        CaptionerError: the caption was made without attention, or the file cannot be written.
    """
    write_whole(path, page([entry(caption, name)]), "--output")


def thumbnail(caption: Caption, path: Path) -> None:
    """Write the part of the photo that the model saw, small, as JPEG.

    Raises:
        CaptionerError: the file cannot be written.
    """
    photo, frame = caption.photo or caption.image, caption.frame if caption.photo is not None else None
    assert photo is not None
    small = photo.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC, frame)
    stream = io.BytesIO()
    small.save(stream, "jpeg", quality=QUALITY, optimize=True)
    write_whole(path, stream.getvalue(), "--output")


def gallery(items: Sequence[Item], path: Path) -> None:
    """Write the index.

    Raises:
        CaptionerError: the file cannot be written.
    """
    folders = {item.folder for item in items}
    entries = "\n".join(_entry(item, len(folders) > 1) for item in items)
    text = document(
        "visualize/gallery.html",
        ["visualize/page.css", "visualize/gallery.css"],
        ["visualize/gallery.js"],
        sources=SOURCES,
        entries=entries,
        count=f"{len(items):,}",
        first=html.escape(f"{items[0].link}.html"),
    ).text
    write_whole(path, text, "--output")


def _entry(item: Item, with_folder: bool) -> str:
    place = f"{item.folder}/{item.name}" if with_folder else item.name
    return (
        f'<li><a href="{html.escape(item.link)}.html" target="photo">'
        f'<img src="{html.escape(item.link)}.jpg" alt="" loading="lazy" width="56" height="56">'
        f'<span class="text" dir="auto">{html.escape(item.caption)}</span>'
        f'<span class="name">{html.escape(place)}</span></a></li>'
    )
