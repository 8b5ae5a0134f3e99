"""Captions as one self-contained web page, with the attention of the word under the pointer over the photo.

The page is ``page.html`` with its styles, the scripts of one caption and ``page.js`` (the index) in it; the
captions are JSON that those scripts read. Nothing that a photo or a caption is called reaches the page
other than as text, and its content security policy lets it run no other script and load nothing.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from captioner.visualize.document import LOOK, SCRIPTS, STYLES, document
from captioner.visualize.overlay import maps_and_square, top_of_scale, upsample
from captioner.visualize.sheet import picture_file
from captioner.visualize.trust import maps_note

if TYPE_CHECKING:
    from captioner.caption import Caption

Entry = dict[str, Any]

LOSSLESS = 256 * 256  # pixels; larger photos are sent as JPEG
QUALITY = 85
THUMBNAIL = 112  # pixels, of an index entry
SCALE_PIXELS = 256  # at which the brightest heat is looked for
NOTEBOOK_HEIGHT = 760


def entry(caption: Caption, name: str = "", pictures: bool = True) -> Entry:
    """One caption as the plain values that the page's scripts draw.

    Args:
        name: what the photo is called; may hold any character.
        pictures: whether the photo and its thumbnail are among them.

    Raises:
        CaptionerError: the caption was made without attention.
    """
    maps, square = maps_and_square(caption, "page")
    _, rows, columns = maps.shape
    photo = (caption.photo or square).convert("RGB")
    frame = caption.frame if caption.photo is not None else None
    frame = frame or (0, 0, *photo.size)
    values = {
        "name": name,
        "text": caption.text,
        "log_prob": _short(caption.log_prob),
        "unfamiliar": caption.unfamiliar,
        "words": list(caption.words),
        "probabilities": _short(np.exp(caption.word_log_probs)),
        "betas": None if caption.betas is None else _short(caption.betas),
        "grid": [rows, columns],
        "attention": np.round(maps.reshape(-1, rows * columns).astype(float), 6).tolist(),
        "top": top_of_scale(upsample(maps, SCALE_PIXELS)),
        "gates": {gate: _short(values) for gate, values in (caption.gates or {}).items()},
        "alternatives": [
            [[word, _short(np.exp(log_prob))] for word, log_prob in step]
            for step in caption.alternatives or ()
        ],
        "beam": [[text, _short(log_prob)] for text, log_prob in caption.beam or ()],
        "scores": None if caption.scores is None else _short(caption.scores),
        "size": list(photo.size),
        "frame": list(frame),
        "grounding": dict(caption.grounding) if caption.grounding else None,
        "maps_note": maps_note(caption.grounding),
    }
    if pictures:
        thumbnail = photo.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC, frame)
        values |= {"photo": data_uri(photo), "thumbnail": data_uri(thumbnail, lossless=False)}
    return values


def page(entries: Sequence[Entry], title: str = "") -> str:
    """The page of one caption, or of several with an index.

    Args:
        entries: from :func:`entry`.
        title: of the page; the first caption where it is empty.
    """
    captions = "".join(
        f"<li>{html.escape(' - '.join(filter(None, (e['name'], e['text']))))}</li>" for e in entries
    )
    return document(
        "visualize/page.html",
        [*STYLES, "visualize/print.css"],
        [*SCRIPTS, "visualize/page.js"],
        {"look": LOOK, "captions": list(entries)},
        title=html.escape(title or (entries[0]["text"] if entries else "captioner")),
        captions=captions,
    ).text


def save_page(entries: Sequence[Entry], path: str | Path, title: str = "") -> None:
    """Write :func:`page` to a file.

    Raises:
        CaptionerError: the file cannot be written.
    """
    with picture_file(path) as file:
        file.write(page(entries, title).encode())


def notebook_html(caption: Caption) -> str:
    """The page in a frame, as a notebook shows it."""
    return (
        f'<iframe srcdoc="{html.escape(page([entry(caption)]))}" title="{html.escape(caption.text)}" '
        'sandbox="allow-scripts allow-downloads" style="border: 0" '
        f'width="100%" height="{NOTEBOOK_HEIGHT}"></iframe>'
    )


def data_uri(image: Image.Image, lossless: bool = True) -> str:
    """A photo as an address that holds it: PNG if it is small and may be, else JPEG."""
    stream = io.BytesIO()
    kind = "png" if lossless and image.width * image.height <= LOSSLESS else "jpeg"
    image.save(stream, kind, quality=QUALITY, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _short(values: Any) -> Any:
    """A number, or numbers, with the four decimals that a reader can use."""
    return np.round(np.asarray(values, float), 4).tolist()
