"""One epoch of a training split, batch by batch."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.features.captioned import CaptionedSplit
from captioner.features.mosaics import sampled
from captioner.model.rows import Captions
from captioner.system.device import moved


class Batch(NamedTuple):
    """A step's batch, or a part of it: of one rank's share, if there are several, and of ``parts`` in turn.

    Attributes:
        features: the trunk's output for the images.
        captions: theirs.
        images: which of the split's records they are; none of mosaics.
        all_images, all_captions: how many the batch has, over all ranks and parts; a mosaic stands for four
            images.
        stand_in: no caption fell to this part, so it has an image of another's, which must not count.
        last: whether no part of the same batch comes after it.
    """

    features: Tensor
    captions: Captions
    images: list[int]
    all_images: int
    all_captions: int
    stand_in: bool = False
    last: bool = True

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return self._replace(features=moved(self.features, device), captions=self.captions.to(device))

    def tensors(self) -> list[Tensor]:
        """All that :meth:`to` moves."""
        return [self.features, *self.captions.tensors().values()]


def epoch_batches(
    split: CaptionedSplit,
    size: int,
    seed: int,
    epoch: int,
    captions_per_image: int | None = None,
    skip: int = 0,
    flip: float = 0.0,
    crop: float = 1.0,
    mosaics: float = 0.0,
    rank: int = 0,
    ranks: int = 1,
    parts: int = 1,
) -> Iterator[Batch]:
    """One pass over the photos in an order that only seed and epoch decide.

    Args:
        size: images per batch.
        captions_per_image: how many of an image's captions are drawn for this pass; None: all.
        skip: images that the pass has seen before, when it was interrupted.
        flip: share of the photos, from 0 to 1, whose mirror image is seen instead, if the split has them.
        crop: the least share of a feature map's rows, and of its columns, that is seen; see :func:`windows`.
        mosaics: share of the batches that are of mosaics instead, as many as show ``size`` photos.
        rank, ranks: whose share of every batch, of how many. What is drawn does not depend on them.
        parts: in how many parts, one after another, that share is given; nor on these. A part that would have
            no caption on any rank is left out, so all ranks have as many.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(split.photos), generator=generator).numpy()
    draw, mirrors = random.Random(f"{seed} {epoch}"), split.mirrors

    def drawn(photo: int) -> tuple[int, list[list[int]]]:
        number = mirrors[photo] if mirrors and draw.random() < flip else photo
        return number, sampled(split.captions[number], captions_per_image, draw)

    for photo in order[:skip]:
        drawn(int(photo))  # so that the others get what they would have had
    for first in range(skip, len(order), size):
        numbers, captions = map(list, zip(*map(drawn, order[first : first + size].tolist())))
        seen, features_of, quadrants = numbers, split.features, None
        if split.mosaics is not None:
            own = random.Random(f"{seed} {epoch} {first} mosaics")
            if own.random() < mosaics:
                features_of = split.mosaics.features
                seen, captions, quadrants = split.mosaics.draw(
                    len(numbers), split.captions, captions_per_image, own
                )
        count = sum(map(len, captions))
        for share, stand_in, last in _shares(captions, rank, ranks, parts):
            features = features_of(seen[share])
            if crop < 1 and quadrants is None:
                draw_window = random.Random(f"{seed} {epoch} {first}")
                features = windows(features, crop, draw_window, before=share.start)
            packed = Captions.build(captions[share], None if quadrants is None else quadrants[share])
            images = seen[share] if quadrants is None else []
            yield Batch(features, packed, images, len(numbers), count, stand_in, last)


def windows(features: Tensor, least: float, draw: random.Random, before: int = 0) -> Tensor:
    """A part at random of every feature map: random crops that cost the frozen encoder nothing.

    Args:
        features: ``(images, channels, rows, columns)``.
        least: share of the rows, and of the columns, that a window has at least. All windows of a batch have
            one size; each image has its own position.
        before: how many images of the batch stand before these.

    Returns:
        ``(images, channels, fewer rows, fewer columns)``.
    """
    rows, columns = features.shape[2:]
    height, width = (draw.randint(math.ceil(least * side), side) for side in (rows, columns))
    corners = [
        (draw.randint(0, rows - height), draw.randint(0, columns - width))
        for _ in range(before + len(features))
    ][before:]
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(features, corners)])


def _shares(
    captions: Sequence[list[list[int]]], rank: int, ranks: int, parts: int
) -> Iterator[tuple[slice, bool, bool]]:
    """The images of each part of a rank's share; whether they stand in for none; whether it is the last."""

    def images(rank: int, part: int) -> slice:
        place, pieces = rank * parts + part, ranks * parts
        return slice(len(captions) * place // pieces, len(captions) * (place + 1) // pieces)

    described = [i for i in range(parts) if any(any(captions[images(r, i)]) for r in range(ranks))] or [0]
    for part in described:
        share, last = images(rank, part), part == described[-1]
        stand_in = not any(captions[share]) and any(captions)
        if stand_in:
            someone = next(place for place, of_image in enumerate(captions) if of_image)
            share = slice(someone, someone + 1)
        yield share, stand_in, last
