"""Many captioned photos as an index page that loads each photo's own page only when it is looked at.

Everything is a file beside the index, so that it opens from a disk, without a server, however many there are.
"""

from __future__ import annotations

import html
import io
import os
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
    """Write the index: compact data from which a script lists what is looked at, and plain links without it.

    Raises:
        CaptionerError: the file cannot be written.
    """
    names = _names(items)
    text = document(
        "visualize/gallery.html",
        ["visualize/page.css", "visualize/gallery.css", "visualize/print.css"],
        ["visualize/elements.js", "visualize/list.js", "visualize/gallery.js"],
        {"links": [i.link for i in items], "captions": [i.caption for i in items], "names": names},
        SOURCES,
        # without thumbnails: browsers load all of them at once where scripts do not run
        entries="\n".join(map(_entry, items, names)),
        count=f"{len(items):,}",
    ).text
    write_whole(path, text, "--output")


def _names(items: Sequence[Item]) -> list[str]:
    """The photos' names, with as much of their folders as tells them apart."""
    folders = {item.folder for item in items}
    try:
        top = os.path.commonpath(folders)
    except ValueError:  # relative and absolute paths, or several drives
        return [os.path.join(item.folder, item.name) for item in items]
    return [os.path.relpath(os.path.join(item.folder, item.name), top or ".") for item in items]


def _entry(item: Item, name: str) -> str:
    caption = html.escape(item.caption or "(no words)")
    return (
        f'<li><a href="{html.escape(item.link)}.html" target="photo">{caption}</a> {html.escape(name)}</li>'
    )
