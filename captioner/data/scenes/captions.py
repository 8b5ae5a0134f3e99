"""What is said about a generated scene: five references and the boxes of their content words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from captioner.data.records import Grounding
from captioner.data.scenes.drawing import Item, Scene, box

# How the LEAD stands to the REST; in lower case they are named without their sizes. "are" agrees.
ALONE = (
    "there is LEAD",
    "a picture of LEAD",
    "LEAD on a plain background",
    "there is lead and nothing else",
    "lead on a plain background",
)
TOGETHER = (
    "LEAD is relation REST",
    "there is LEAD relation REST",
    "a picture of LEAD relation REST",
    "lead is relation rest",
    "rest are inverse lead",
)
INVERSES = {"left of": "right of", "above": "below"}
MARGIN = 8  # units by which one direction must outweigh the other to be called the direction


class Word(NamedTuple):
    """A word of a caption, with what it says of which item if it is a content word."""

    text: str
    kind: str = ""
    item: Item | None = None


def relation(a: Item, b: Item) -> str | None:
    """How ``a`` stands to ``b``, if it clearly comes first: ``left of``, ``above`` or None."""
    dx, dy = b.x - a.x, b.y - a.y
    if dx >= abs(dy) + MARGIN:
        return "left of"
    if dy >= abs(dx) + MARGIN:
        return "above"
    return None


def reference_captions(scene: Scene) -> tuple[tuple[str, ...], tuple[Grounding, ...]]:
    """Five captions of the scene, and the box of every shape, colour and size word in them."""
    boxes = {item: box(item, scene.pixels) for item in scene.items}
    captions, groundings = [], []
    for c, template in enumerate(ALONE if len(scene.items) == 1 else TOGETHER):
        words = list(_fill(template, scene.items))
        captions.append(" ".join(word.text for word in words))
        for w, word in enumerate(words):
            if word.item is not None:
                groundings.append(Grounding(c, w, word.kind, boxes[word.item]))
    return tuple(captions), tuple(groundings)


def _fill(template: str, items: tuple[Item, ...]) -> Iterator[Word]:
    lead, rest = items[0], items[1:]
    for part in template.split():
        if part in ("LEAD", "lead"):
            yield from _phrase(lead, sized=part.isupper())
        elif part in ("REST", "rest"):
            for i, item in enumerate(rest):
                if i:
                    yield Word("and")
                yield from _phrase(item, sized=part.isupper())
        elif part in ("relation", "inverse"):
            name = relation(lead, rest[0])
            assert name is not None, "a scene's items stand in the order of its captions"
            yield from map(Word, (name if part == "relation" else INVERSES[name]).split())
        elif part == "are":
            yield Word("are" if len(rest) > 1 else "is")
        else:
            yield Word(part)


def _phrase(item: Item, sized: bool) -> Iterator[Word]:
    """``a small orange circle``, or ``an orange circle``."""
    words = [Word(item.colour, "colour", item), Word(item.shape, "shape", item)]
    if sized:
        words.insert(0, Word(item.size, "size", item))
    yield Word("an" if words[0].text[0] in "aeiou" else "a")
    yield from words
