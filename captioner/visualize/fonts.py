"""Fonts for captions in any script, of those that are installed."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# The first, which comes with matplotlib, has Latin, Greek and Cyrillic; the others fill in other scripts.
FONTS = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic"),
    *("Noto Sans Devanagari", "PingFang SC", "Microsoft YaHei", "Arial Unicode MS"),
)
LAST_RESORT = "Last Resort"  # comes with matplotlib, and has a box for every character
EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH")
CJK = ("Noto Sans CJK", "fonts-noto-cjk")
NAMED_OTHERWISE = {"TIBETAN": "Noto Serif Tibetan", "CANADIAN": "Noto Sans Canadian Aboriginal"}
OTHERS = "fonts-noto-core"  # Debian's package of Noto Sans Bengali, Tamil, Thai and a hundred more


KIND = re.compile(r" (?:LETTER|SUBJOINED|SYLLAB|VOWEL|SIGN|CONSONANT|CHARACTER|UNIFIED|COMBINING|AU LENGTH)")


@cache
def fonts_for(text: str) -> list[str]:
    """Families that fill in for one another and together have the text's characters, as far as any has them.

    The usual families come first; of any other that is installed only those that are needed. Where characters
    are left, the fonts of the system are listed anew, as matplotlib's list may be older than a font; if that
    does not help, a line on standard error says which font to install, once for a script.
    """
    families, missing = _chosen(_characters(text))
    if missing and _rescan():
        families, missing = _chosen(_characters(text))
    if missing:
        _tell(missing)
    return families


def font_file(text: str) -> str:
    """The path of the first of these fonts that lacks the fewest of the text's characters."""
    needed = _characters(text)
    files = [_file(family) for family in fonts_for(text)]
    return min(files, key=lambda file: len(needed - _has(file)))


def script_of(character: str) -> str:
    """The script of a letter or mark, as its name begins: ``TAMIL``, ``OLD ITALIC``; else empty."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    return KIND.split(unicodedata.name(character, ""))[0]


def font_to_install(script: str) -> tuple[str, str]:
    """A font that has a script, and the package of Debian and Ubuntu that has the font."""
    if script.split(" ")[0] in EAST_ASIAN:
        return CJK
    return NAMED_OTHERWISE.get(script, f"Noto Sans {script.title()}"), OTHERS


def _chosen(needed: set[int]) -> tuple[list[str], set[int]]:
    """The families that have these characters, and the characters that no font has."""
    installed = font_manager.get_font_names()
    families = [font for font in FONTS if font in installed]
    missing = needed.difference(*(_has(_file(family)) for family in families))
    for entry in sorted(font_manager.fontManager.ttflist, key=_preference) if missing else ():
        if missing and not entry.name.startswith(LAST_RESORT) and (found := missing & _has(entry.fname)):
            families.append(entry.name)
            missing -= found
    return families, missing


def _preference(entry: font_manager.FontEntry) -> tuple[bool, bool, bool, str]:
    """Upright text fonts without serifs first."""
    upright = entry.style == "normal" and entry.weight in (400, "normal", "regular")
    return (not upright, "Sans" not in entry.name, "Noto" not in entry.name, entry.name)


def _characters(text: str) -> set[int]:
    return {ord(character) for character in text if character.isprintable() and not character.isspace()}


def _file(family: str) -> str:
    return str(font_manager.findfont(font_manager.FontProperties(family=[family])))


@cache
def _has(file: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # removed since it was listed, or damaged
        return frozenset()


@cache
def _rescan() -> bool:
    """Whether matplotlib now knows fonts that it did not; asked once, as listing them takes a second."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    new = [file for file in font_manager.findSystemFonts() if file not in known]
    for file in new:
        try:
            font_manager.fontManager.addfont(file)
        except (OSError, RuntimeError, ValueError):  # none of its formats
            continue
    return bool(new)


_told: set[str] = set()


def _tell(missing: set[int]) -> None:
    counts = Counter(script_of(chr(code)) for code in missing)
    new = [script for script, _ in counts.most_common() if script not in _told]
    _told.update(new)
    for script in new:
        sample = "".join(chr(code) for code in sorted(missing) if script_of(chr(code)) == script)[:5]
        font, package = font_to_install(script)
        way = f"; install {font} (Debian, Ubuntu: apt install {package})" if script else ""
        print(f"captioner: no font has {sample!r}, figures show boxes instead{way}", file=sys.stderr)
