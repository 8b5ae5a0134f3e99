"""Captions in every script: a font that has it is found, or the line says which to install."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from support.captions import caption_of

from captioner.visualize import fonts
from captioner.visualize.figure import attention_figure

WORDS = {"TAMIL": "நாய்", "THAI": "หมา", "BENGALI": "কুকুর", "SINHALA": "බල්ලා"}


def font_with(path: Path, family: str, characters: str) -> Path:
    """A font whose every glyph is one square."""
    pen = TTGlyphPen(None)
    for step, point in enumerate([(0, 0), (0, 500), (500, 500), (500, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    names = {ord(character): f"u{ord(character):X}" for character in sorted(set(characters))}
    order = [".notdef", *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(order, square))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(str(path))
    return path


Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a font as the system would, after matplotlib has made its list; no others are there."""
    manager = font_manager.fontManager
    listed = list(manager.ttflist)
    manager.ttflist = [entry for entry in listed if entry.name == "DejaVu Sans"]
    there: list[str] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(there))

    def forget() -> None:
        fonts.fonts_for.cache_clear()
        fonts._rescan.cache_clear()
        fonts._told.clear()

    def put(family: str, characters: str) -> Path:
        path = font_with(tmp_path / f"{family}.ttf", family, characters)
        there.append(str(path))
        forget()
        return path

    forget()
    yield put
    manager.ttflist = listed
    forget()


@pytest.mark.parametrize("script", WORDS)
def test_font_that_was_installed_since_is_found(
    install: Install, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    word = WORDS[script]
    path = install(f"Some {script.title()}", word)
    assert fonts.fonts_for(f"dog {word}") == ["DejaVu Sans", f"Some {script.title()}"]
    assert fonts.font_file(word) == str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention_figure(caption_of(f"a {word}", 2, 2)).savefig(io.BytesIO(), format="png", dpi=20)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("script", WORDS)
def test_font_to_install_is_told_once(
    install: Install, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (WORDS[script], f"a {WORDS[script]}", WORDS[script]):
        assert fonts.fonts_for(text) == ["DejaVu Sans"]
    told = capsys.readouterr().err
    assert (
        told.count("\n") == 1 and f"install Noto Sans {script.title()} " in told and "fonts-noto-core" in told
    )


@pytest.mark.parametrize(
    ("text", "font"),
    [
        ("犬", "Noto Sans CJK"),
        ("いぬ", "Noto Sans CJK"),
        ("개", "Noto Sans CJK"),
        ("ខ្មែរ", "Noto Sans Khmer"),
        ("བོད", "Noto Serif Tibetan"),
        ("𐌀", "Noto Sans Old Italic"),
        ("ᐃ", "Noto Sans Canadian Aboriginal"),
    ],
)
def test_script_is_known_by_the_names_of_its_letters(text: str, font: str) -> None:
    assert {fonts.font_to_install(fonts.script_of(letter))[0] for letter in text} == {font}


def test_what_is_no_letter_suggests_nothing(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    fonts.fonts_for("a \U0001f9ec")
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "install" not in told


def test_several_fonts_fill_in_and_a_damaged_one_does_not_matter(install: Install, tmp_path: Path) -> None:
    install("One", WORDS["TAMIL"])
    install("Other", WORDS["THAI"])
    install("Broken", "x").write_bytes(b"no font")
    families = fonts.fonts_for(WORDS["TAMIL"] + WORDS["THAI"])
    assert families[0] == "DejaVu Sans" and set(families[1:]) == {"One", "Other"}
