"""What the form gives to a browser that runs no scripts: the caption and its figure, as one plain page."""

from __future__ import annotations

import base64
import html
import io
import math
from threading import Lock

from captioner.caption import Caption
from captioner.visualize.document import STYLES, Document, document
from captioner.visualize.figure import attention_figure
from captioner.visualize.sheet import write_figure

_drawing = Lock()  # matplotlib keeps its fonts in one place for all threads


def caption_page(caption: Caption, name: str) -> Document:
    """A page of one caption.

    Raises:
        CaptionerError: the caption was made without attention.
    """
    stream = io.BytesIO()
    with _drawing:
        write_figure(attention_figure(caption), stream, "png")
    figure = base64.b64encode(stream.getvalue()).decode()
    alt = html.escape(f"For each word of {caption.text!r}, where in the photo the model looked", quote=True)
    text = html.escape(caption.text or "(no words)")
    others = "".join(f"<li>{html.escape(text)}</li>" for text, _ in caption.beam or ())
    return _page(
        caption.text or "(no words)",
        f'<p class="note">{html.escape(name)}</p><h2 dir="auto">{text}</h2>'
        f'<p><img src="data:image/png;base64,{figure}" alt="{alt}"></p>'
        f"<p>Mean probability of a word: {math.exp(caption.confidence):.2f}</p>"
        + "<p>The photo is unlike those that the model knows: do not rely on this caption.</p>"
        * caption.unfamiliar
        + (f"<h3>Captions considered</h3><ol>{others}</ol>" if others else ""),
    )


def error_page(message: str) -> Document:
    """A page that says what went wrong."""
    return _page("Not captioned", f"<h2>Not captioned</h2><p>{html.escape(message)}</p>")


def _page(title: str, content: str) -> Document:
    return document(
        "web/plain.html",
        [*STYLES, "web/docs.css", "web/plain.css"],
        title=html.escape(title),
        content=content,
    )
