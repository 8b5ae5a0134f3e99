"""The page as a file: one document that needs nothing else and takes every name as text."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.captions import SENTENCE, caption_of, drawing

from captioner.errors import CaptionerError
from captioner.visualize.overlay import top_of_scale, upsample
from captioner.visualize.page import entry, notebook_html, page, save_page

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>.jpg',
    "' onload='alert(1)",
    "&lt;b&gt; &amp; {{data}} {{script}}",
    "line\nbreak\u2028\x00\x1b[31m",
    r"back\slash \u003c $1 \1 \g<0>",
    "東京 🦊 مرحبا",
]


class Document(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text within them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.innermost = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.innermost = tag

    def handle_endtag(self, tag: str) -> None:
        self.innermost = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self.innermost, data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> str:
        return "".join(text for name, text in self.texts if name == tag)

    @property
    def data(self) -> dict[str, Any]:
        """The captions, from the first script; the second is the program."""
        first = next(text for name, text in self.texts if name == "script")
        return json.loads(first)  # type: ignore[no-any-return]


def image_of(uri: str) -> Image.Image:
    assert uri.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


# --- the document ---------------------------------------------------------------------------------


def test_page_loads_nothing_from_elsewhere() -> None:
    text = page([entry(caption_of(), "a.jpg"), entry(caption_of("a dog"), "b.jpg")])
    document = Document(text)
    links = [
        value for _, a in document.elements for name, value in a.items() if name in ("src", "href", "srcset")
    ]
    assert links == ["data:,"]
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttp|import\(", text)


def test_policy_lets_the_page_run_its_own_script_alone() -> None:
    text = page([entry(caption_of())])
    (policy,) = [a["content"] for a in Document(text).all("meta") if "http-equiv" in a]
    assert policy is not None and "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_page_of_twelve_words_of_a_photo_is_below_a_megabyte() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    photo = Image.fromarray(noise).resize((800, 800), Image.Resampling.BICUBIC)  # as rich as photos come
    caption = caption_of(f"{SENTENCE} here", 14, 14, photo)
    assert len(caption.words) == 12
    assert len(page([entry(caption)]).encode()) < 1_000_000


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_captions_are_text(name: str) -> None:
    plain = Document(page([entry(caption_of("a dog"), "a.jpg")], "title"))
    caption = replace(caption_of("a dog"), text=name, words=(name, "dog"), beam=((name, -1.0),))
    hostile = Document(page([entry(caption, name)], name))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [a for _, a in hostile.elements] == [a for _, a in plain.elements]
    (shown,) = hostile.data["captions"]
    assert (shown["name"], shown["text"], shown["words"][0]) == (name, name, name)
    assert shown["beam"] == [[name, -1.0]]
    assert hostile.text("title") == name
    assert name in hostile.text("li")


def test_file_name_of_unknown_encoding_can_be_written(tmp_path: Path) -> None:
    save_page([entry(caption_of(), "caf\udce9.jpg")], tmp_path / "index.html")
    assert "caf" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_missing_folder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "index.html"
    with pytest.raises(CaptionerError) as caught:
        save_page([entry(caption_of())], path)
    assert str(caught.value) == f"{path}: No such file or directory"


def test_captions_can_be_read_without_scripts() -> None:
    entries = [entry(caption_of("a dog"), "a.jpg"), entry(caption_of("two cats"), "b.jpg")]
    assert Document(page(entries)).text("li") == "a.jpg - a dogb.jpg - two cats"


# --- an entry -------------------------------------------------------------------------------------


def test_entry_holds_the_attention_and_the_scale_of_the_figure() -> None:
    caption = caption_of(rows=3, columns=5)
    assert caption.attention is not None
    values = entry(caption)
    assert values["grid"] == [3, 5]
    np.testing.assert_allclose(values["attention"], caption.attention.reshape(-1, 15), atol=1e-6)
    assert values["top"] == pytest.approx(top_of_scale(upsample(caption.attention, 300)), rel=0.01)


def test_entry_holds_probabilities() -> None:
    caption = caption_of("a dog runs")
    values = entry(caption)
    assert values["probabilities"] == [0.5, 0.7, 0.9]
    assert values["betas"] == [0.3, 0.55, 0.8]
    assert values["alternatives"][1] == [["dog", 0.7], ["else", 0.0498], ["<end>", 0.0183]]
    assert values["gates"] == {"forget": [0.9] * 3, "input": [0.2] * 3}
    assert values["log_prob"] == -3.25


@pytest.mark.parametrize(("size", "kind"), [((64, 64), "PNG"), ((800, 500), "JPEG")])
def test_photo_is_whole(size: tuple[int, int], kind: str) -> None:
    photo = drawing(*size)
    values = entry(caption_of(photo=photo))
    sent = image_of(values["photo"])
    assert (sent.size, sent.format, values["size"]) == (size, kind, list(size))
    assert np.abs(np.asarray(sent, int) - np.asarray(photo, int)).mean() < 3
    left, top, right, bottom = values["frame"]
    assert (right - left, bottom - top) == (min(size), min(size)) and left + right == size[0] and top == 0


def test_thumbnail_is_of_what_the_model_saw() -> None:
    photo = Image.new("RGB", (900, 300), "white")
    photo.paste("red", (300, 0, 600, 300))
    thumbnail = image_of(entry(caption_of(photo=photo))["thumbnail"])
    assert thumbnail.width == thumbnail.height and thumbnail.convert("RGB").getpixel((3, 50))[1] < 40


def test_caption_made_by_hand_of_attention_and_image_alone_has_a_page() -> None:
    caption = replace(
        caption_of("a dog"), photo=None, frame=None, beam=None, alternatives=None, gates=None, betas=None
    )
    values = entry(caption)
    assert values["frame"] == [0, 0, 224, 224] and values["betas"] is None
    assert Document(page([values])).data["captions"] == [values]


def test_caption_without_attention_is_refused() -> None:
    with pytest.raises(CaptionerError, match="attention=True"):
        entry(replace(caption_of(), attention=None))


# --- a notebook -----------------------------------------------------------------------------------


def test_notebook_shows_the_page_in_a_frame_that_may_only_run_scripts() -> None:
    caption = replace(caption_of("a dog"), text='a "dog" <b>')
    shown = caption._repr_html_()
    assert shown == notebook_html(caption)
    document = Document(shown)
    ((tag, attributes),) = document.elements
    assert tag == "iframe" and attributes["sandbox"] == "allow-scripts allow-downloads"
    assert attributes["srcdoc"] == page([entry(caption)]) and attributes["title"] == 'a "dog" <b>'


def test_notebook_shows_a_caption_without_attention_as_text() -> None:
    assert replace(caption_of(), attention=None)._repr_html_() is None
