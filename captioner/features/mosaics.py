"""Mosaics to train on: four photos in one, each with its own captions.

A word of a mosaic can be had only from where its photo is, so the maps learn to stand there, without boxes.
What the frozen trunk makes of the mosaics is computed once, as it is for photos.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from captioner.data.photos.mosaics import QUADRANTS, draw_mosaics, mosaic_of
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record, mirror_of
from captioner.features.split import Split, gather

Encoded = list[list[list[int]]]  # the captions of every record, as word indices
ROUNDS = 4  # mosaics that hold each photo


@dataclass(frozen=True)
class Mosaics:
    """A training split's mosaics.

    Attributes:
        split: with a row per mosaic.
        members: of every mosaic, the numbers of its four records, by quadrant. The mirror image of a mosaic
            holds mirror images, whose numbers follow those of the photos.
    """

    split: Split
    members: list[list[int]]

    @classmethod
    def of(cls, split: Split, photos: int, flip: bool) -> Mosaics:
        """Those of :func:`mosaic_images`, of so many photos."""
        members = []
        for four, mirrored in _fours(photos, flip):
            swapped = [photos + i for i in (four[1], four[0], four[3], four[2])]
            members.append(swapped if mirrored else four)
        return cls(split, members)

    def draw(
        self, photos: int, of_records: Sequence[list[list[int]]], count: int | None, draw: random.Random
    ) -> tuple[list[int], Encoded, list[list[int]]]:
        """The numbers of as many mosaics as show so many photos, their captions, and each caption's quadrant.

        Args:
            of_records: all captions of each record.
            count: how many of a photo's captions are drawn; None: all.
        """
        wanted = min(math.ceil(photos / len(QUADRANTS)), len(self.members))
        numbers = draw.sample(range(len(self.members)), wanted)
        fours = [[sampled(of_records[n], count, draw) for n in self.members[number]] for number in numbers]
        captions = [[caption for of_photo in four for caption in of_photo] for four in fours]
        return numbers, captions, [[q for q, of_photo in enumerate(four) for _ in of_photo] for four in fours]

    def features(self, numbers: Sequence[int]) -> Tensor:
        """The encoder trunk's output for some mosaics, ``(mosaics, ...)``."""
        return gather(self.split.features, numbers)


def sampled(captions: list[list[int]], count: int | None, draw: random.Random) -> list[list[int]]:
    """So many of an image's captions, drawn without replacement; None: all."""
    return captions if count is None else draw.sample(captions, min(count, len(captions)))


def mosaic_images(records: Sequence[Record], preprocess: Preprocess, flip: bool) -> list[Record]:
    """Every photo in four of them, with other photos each time; none of fewer than four photos.

    Args:
        flip: whether every second round is one of mirror images.
    """
    drawn = []
    for four, mirrored in _fours(len(records), flip):
        mosaic = mosaic_of([records[i] for i in four], preprocess)
        drawn.append(mirror_of(mosaic) if mirrored else mosaic)
    return drawn


def _fours(photos: int, flip: bool) -> Iterator[tuple[list[int], bool]]:
    """The numbers of each mosaic's photos, and whether it is mirrored."""
    for number in range(ROUNDS):
        for four in draw_mosaics(photos, photos, number):
            yield four, flip and number % 2 == 1
