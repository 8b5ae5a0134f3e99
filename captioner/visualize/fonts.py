"""Fonts for captions in any script, of those that are installed."""

from __future__ import annotations

from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# The first, which comes with matplotlib, has Latin, Greek and Cyrillic; the others fill in other scripts.
FONTS = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic"),
    *("Noto Sans Devanagari", "PingFang SC", "Microsoft YaHei", "Arial Unicode MS"),
)


@cache
def installed_fonts() -> list[str]:
    """Those of ``FONTS`` that there are, as families that fill in for one another."""
    installed = font_manager.get_font_names()
    return [font for font in FONTS if font in installed]


@cache
def font_file(text: str) -> str:
    """The path of the first of these fonts that lacks the fewest of the text's characters."""
    needed = {ord(character) for character in text if not character.isspace()}
    files = [font_manager.findfont(font) for font in installed_fonts()]
    return min(files, key=lambda file: len(needed - FT2Font(file).get_charmap().keys()))
