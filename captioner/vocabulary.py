"""Captions as words, and words as indices."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from captioner.errors import CaptionerError, check_choice, check_range

PAD, START, END, UNKNOWN = range(4)
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")
UNITS = ("word", "character")


def tokenize(caption: str, unit: str = "word") -> list[str]:
    """Split a caption into lower-case words, the only place that decides what a word is.

    Words are what white space separates, stripped of punctuation and symbols at both ends, so hyphens
    and apostrophes inside a word stay and any script with spaces between words works. ``character``
    takes every letter as a word, for scripts without spaces.
    """
    caption = unicodedata.normalize("NFC", caption).lower()
    if unit == "character":
        return [character for character in caption if not _is_edge(character)]
    return [word for piece in caption.split() if (word := _strip(piece))]


def _is_edge(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] in "PSCZ"


def _strip(piece: str) -> str:
    start, stop = 0, len(piece)
    while start < stop and _is_edge(piece[start]):
        start += 1
    while stop > start and _is_edge(piece[stop - 1]):
        stop -= 1
    return piece[start:stop]


class Vocabulary:
    """The words a model knows, the four special ones first.

    Args:
        words: distinct words in index order, without the specials.
        unit: ``word`` or ``character``, how captions are split.
    """

    def __init__(self, words: Sequence[str], unit: str = "word") -> None:
        check_choice(unit, UNITS, "vocabulary.unit")
        self.words = (*SPECIALS, *words)
        self.unit = unit
        self.index = {word: i for i, word in enumerate(self.words)}
        if len(self.index) != len(self.words):
            raise CaptionerError("vocabulary: a word is in it twice")

    @classmethod
    def build(
        cls,
        captions: Iterable[str],
        unit: str = "word",
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Vocabulary:
        """Count the words of the training captions; frequent words come first, ties by spelling.

        Args:
            min_count: how often a word must occur to be known.
            max_size: how many words are kept at most, specials aside.
        """
        check_range(min_count, "vocabulary.min_count", low=1)
        if max_size is not None:
            check_range(max_size, "vocabulary.max_size", low=1)
        check_choice(unit, UNITS, "vocabulary.unit")
        counts = Counter(word for caption in captions for word in tokenize(caption, unit))
        for special in SPECIALS:
            counts.pop(special, None)
        known = sorted((-n, word) for word, n in counts.items() if n >= min_count)[:max_size]
        if not known:
            raise CaptionerError(
                f"vocabulary.min_count: no word occurs {min_count} times in the training captions "
                f"(they hold {len(counts)} different words)"
            )
        return cls([word for _, word in known], unit)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, caption: str) -> list[int]:
        """Indices of the caption's words followed by ``<end>``; unknown words become ``<unk>``."""
        return [self.index.get(word, UNKNOWN) for word in tokenize(caption, self.unit)] + [END]

    def decode(self, indices: Iterable[int]) -> list[str]:
        """Words of the indices up to ``<end>``, padding and start left out."""
        words = []
        for i in indices:
            if i == END:
                break
            if i not in (PAD, START):
                words.append(self.words[i])
        return words

    def text(self, indices: Iterable[int]) -> str:
        """The caption that the indices spell, as people write it."""
        return ("" if self.unit == "character" else " ").join(self.words[i] for i in indices)
