"""Which words of a caption name which object: by the references' boxes, or by saying what only one is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from captioner.data.records import Box, Record
from captioner.vocabulary import tokenize


class Named(NamedTuple):
    """A word that names an object: its place in the caption, its class, and the object's box."""

    word: int
    kind: str
    box: Box


def named_in_reference(record: Record, caption: int) -> list[Named]:
    """What one of the record's captions names."""
    return [Named(g.word, g.kind, g.box) for g in record.groundings if g.caption == caption]


def word_kinds(records: Sequence[Record]) -> dict[str, str]:
    """The class of every word that names something anywhere in the data."""
    return {word: kind for record in records for word, kind, _ in _descriptions(record)}


def named_in_caption(words: Sequence[str], record: Record, kinds: dict[str, str]) -> list[Named]:
    """What a generated caption names without doubt.

    A phrase is a run of words that have a class, such as ``small red star``. It names an object if all
    of its words are said of that object in the references, and of no other object of the image.
    """
    objects: dict[Box, set[str]] = {}
    for word, _, box in _descriptions(record):
        objects.setdefault(box, set()).add(word)
    named = []
    for phrase in phrases(words, kinds):
        said = {words[i] for i in phrase}
        boxes = [box for box, description in objects.items() if said <= description]
        if len(boxes) == 1:
            named += [Named(i, kinds[words[i]], boxes[0]) for i in phrase]
    return named


def phrases(words: Sequence[str], kinds: dict[str, str]) -> Iterator[range]:
    """The runs of words that have a class."""
    start = 0
    for i in range(len(words) + 1):
        if i == len(words) or words[i] not in kinds:
            if start < i:
                yield range(start, i)
            start = i + 1


def _descriptions(record: Record) -> Iterator[tuple[str, str, Box]]:
    """Word, class and box of all groundings."""
    tokens = [tokenize(caption) for caption in record.captions]
    for grounding in record.groundings:
        yield tokens[grounding.caption][grounding.word], grounding.kind, grounding.box
