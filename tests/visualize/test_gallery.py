"""The index of many photos as a file: what it lists, with scripts and without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from support.captions import caption_of, drawing

from captioner.visualize.gallery import THUMBNAIL, Item, gallery, photo_page, thumbnail


def index_of(tmp_path: Path, *items: Item) -> str:
    gallery(items, tmp_path / "index.html")
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def data_of(text: str) -> dict[str, list[str]]:
    return json.loads(re.findall(r'id="data">(.*?)</script>', text)[0])  # type: ignore[no-any-return]


def test_links_of_all_photos_are_there_without_scripts(tmp_path: Path) -> None:
    items = [Item(f"index_files/{i:05d}", f"caption {i}", f"photo {i}.jpg", "photos") for i in range(1, 301)]
    text = index_of(tmp_path, *items)
    (listed,) = re.findall(r"<noscript>(.*?)</noscript>", text, re.DOTALL)
    assert re.findall(r'<a href="(.*?)" target="photo">(.*?)</a> (.*?)</li>', listed) == [
        (f"{i.link}.html", i.caption, i.name) for i in items
    ]
    assert "<img" not in listed and "<title>300 captioned photos</title>" in text
    data = data_of(text)
    assert data["links"] == [i.link for i in items] and data["captions"] == [i.caption for i in items]


@pytest.mark.parametrize(
    ("places", "shown"),
    [
        (["photos/a.jpg", "photos/b.jpg"], ["a.jpg", "b.jpg"]),
        (["/photos/2023/a.jpg", "/photos/2024/a.jpg"], ["2023/a.jpg", "2024/a.jpg"]),
        (["photos/a.jpg", "photos/below/a.jpg"], ["a.jpg", "below/a.jpg"]),
        (["a.jpg", "below/b.jpg"], ["a.jpg", "below/b.jpg"]),
        (["/x/a.jpg", "y/a.jpg"], ["/x/a.jpg", "y/a.jpg"]),
    ],
)
def test_name_is_told_with_the_folders_that_differ(
    tmp_path: Path, places: list[str], shown: list[str]
) -> None:
    items = [Item("index_files/00001", "a", Path(place).name, str(Path(place).parent)) for place in places]
    assert data_of(index_of(tmp_path, *items))["names"] == shown


@pytest.mark.parametrize("name", ["</noscript><script>alert(1)</script>", "<b>&amp;\"'", "{{data}}"])
def test_names_and_captions_are_text(tmp_path: Path, name: str) -> None:
    plain = index_of(tmp_path, Item("index_files/00001", "a dog", "a.jpg", "x"))
    hostile = index_of(tmp_path, Item("index_files/00001", name, name.replace("/", "\\"), "x"))
    tags = re.compile(r"<(?!/?script>|!)[/a-z][^>]*>")
    assert tags.findall(hostile) == tags.findall(plain) and hostile.count("<script") == 2
    assert data_of(hostile)["captions"] == [name]


def test_name_of_unknown_encoding_and_caption_without_words(tmp_path: Path) -> None:
    text = index_of(tmp_path, Item("index_files/00001", "", "caf\udce9.jpg", "x"))
    assert ">(no words)</a> caf" in text


def test_page_and_thumbnail_of_a_photo(tmp_path: Path) -> None:
    caption = caption_of("a dog", photo=drawing(400, 200))
    thumbnail(caption, tmp_path / "a.jpg")
    photo_page(caption, "a.jpg", tmp_path / "a.html")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (THUMBNAIL, THUMBNAIL)
    assert '"name":"a.jpg"' in (tmp_path / "a.html").read_text(encoding="utf-8")
