"""One epoch of a training split, batch by batch."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import torch
from torch import Tensor

from captioner.features.captioned import CaptionedSplit
from captioner.features.mosaics import PHOTOS, sampled
from captioner.features.split import gather
from captioner.model.rows import Captions


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
) -> Iterator[tuple[Tensor, Captions, list[int]]]:
    """One pass over the photos in an order that only seed and epoch decide.

    Args:
        size: images per batch.
        captions_per_image: how many of an image's captions are drawn for this pass; None: all.
        skip: images that the pass has seen before, when it was interrupted.
        flip: share of the photos, from 0 to 1, whose mirror image is seen instead, if the split has them.
        crop: the least share of a feature map's rows, and of its columns, that is seen; see :func:`windows`.
        mosaics: share of the batches that are of mosaics instead, as many as show ``size`` photos.

    Yields:
        The trunk's output for the batch's images, their captions, and which of the split's records they are;
        with mosaics, which records they take the turn of.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(split.photos), generator=generator).tolist()
    draw, mirrors = random.Random(f"{seed} {epoch}"), split.mirrors

    def drawn(photo: int) -> tuple[int, list[list[int]]]:
        number = mirrors[photo] if mirrors and draw.random() < flip else photo
        return number, sampled(split.captions[number], captions_per_image, draw)

    for photo in order[:skip]:
        drawn(photo)  # so that the others get what they would have had
    for first in range(skip, len(order), size):
        numbers, captions = zip(*map(drawn, order[first : first + size]))
        own = random.Random(f"{seed} {epoch} {first} mosaics")
        if split.mosaics is not None and own.random() < mosaics:
            shown = split.mosaics.draw(math.ceil(len(numbers) / PHOTOS), own)
            batch = split.mosaics.captions(shown, split.captions, captions_per_image, own)
            yield gather(split.mosaics.split.features, shown), batch, list(numbers)
            continue
        features = split.features(numbers)
        if crop < 1:
            features = windows(features, crop, random.Random(f"{seed} {epoch} {first}"))
        yield features, Captions.build(captions), list(numbers)


def windows(features: Tensor, least: float, draw: random.Random) -> Tensor:
    """A part at random of every feature map: random crops that cost the frozen encoder nothing.

    Args:
        features: ``(images, channels, rows, columns)``.
        least: share of the rows, and of the columns, that a window has at least. All windows of a batch have
            one size; each image has its own position.

    Returns:
        ``(images, channels, fewer rows, fewer columns)``.
    """
    rows, columns = features.shape[2:]
    height, width = (draw.randint(math.ceil(least * side), side) for side in (rows, columns))
    corners = [(draw.randint(0, rows - height), draw.randint(0, columns - width)) for _ in features]
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(features, corners)])
