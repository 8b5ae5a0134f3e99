"""One record per image: what every caption format is turned into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the original image


@dataclass(frozen=True)
class Grounding:
    """Where in the image the object stands that a word of a caption names."""

    caption: int  # which of the record's captions
    word: int  # which of its words, as vocabulary.tokenize splits it
    kind: str  # the word's class: shape, colour or size
    box: Box


@dataclass(frozen=True)
class Record:
    """An image with its reference captions.

    Attributes:
        image_id: what results files call the image; unique within a split.
        source: the image file, or a function that draws the image.
        captions: reference captions as written.
        groundings: boxes of the content words, where the data knows them.
        mirrored: whether left and right are swapped when the image is encoded, and in what its captions
            stand for; their text, as the source, is the photo's.
    """

    image_id: str | int
    source: Path | Callable[[], Image.Image]
    captions: tuple[str, ...]
    groundings: tuple[Grounding, ...] = ()
    mirrored: bool = False


def mirror_of(record: Record) -> Record:
    """The mirror image of a photo, without its groundings."""
    return replace(record, groundings=(), mirrored=not record.mirrored)
