"""One epoch of a training split, batch by batch."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from captioner.features.split import Split, gather
from captioner.model.rows import Captions


def epoch_batches(
    split: Split,
    captions: Sequence[Sequence[Sequence[int]]],
    size: int,
    seed: int,
    epoch: int,
    captions_per_image: int | None = None,
    skip: int = 0,
    mirrored: tuple[Split, Sequence[Sequence[Sequence[int]]]] | None = None,
    flip: float = 0.0,
    crop: float = 1.0,
) -> Iterator[tuple[Tensor, Captions, list[int]]]:
    """One pass over the images in an order that only seed and epoch decide.

    Args:
        captions: what :func:`encode_captions` made of the split's records.
        size: images a batch.
        captions_per_image: how many of an image's captions are drawn for this pass; None: all.
        skip: images that the pass has seen before, when it was interrupted.
        mirrored: split and captions that stand in for the others, image by image.
        flip: how often they do, a share from 0 to 1.
        crop: the least share of a feature map's rows, and of its columns, that is seen; see :func:`windows`.

    Yields:
        The trunk's output for the batch's images, their captions, and their numbers: which of the split's
        each is, and as much more as the split has images where it is mirrored.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(split), generator=generator).tolist()
    draw = random.Random(f"{seed} {epoch}")

    def drawn(image: int) -> tuple[bool, Sequence[Sequence[int]]]:
        turned = mirrored is not None and draw.random() < flip
        of_image = mirrored[1][image] if mirrored is not None and turned else captions[image]
        if captions_per_image is not None:
            of_image = draw.sample(list(of_image), min(captions_per_image, len(of_image)))
        return turned, of_image

    for image in order[:skip]:
        drawn(image)  # so that the others get what they would have had
    for first in range(skip, len(order), size):
        chosen = order[first : first + size]
        turned, said = zip(*map(drawn, chosen))
        features = gather(split.features, chosen)
        if mirrored is not None:
            places = [i for i, turn in enumerate(turned) if turn]
            features[places] = gather(mirrored[0].features, [chosen[i] for i in places])
        if crop < 1:
            features = windows(features, crop, random.Random(f"{seed} {epoch} {first}"))
        yield features, Captions.build(said), [i + turn * len(split) for i, turn in zip(chosen, turned)]


def windows(features: Tensor, least: float, draw: random.Random) -> Tensor:
    """A part at random of every feature map: random crops that cost the frozen encoder nothing.

    Args:
        features: ``(images, channels, rows, columns)``.
        least: share of the rows, and of the columns, that a window has at the least. All windows of a
            batch have one size; each image has its own position.

    Returns:
        ``(images, channels, fewer rows, fewer columns)``.
    """
    rows, columns = features.shape[2:]
    height, width = (draw.randint(math.ceil(least * side), side) for side in (rows, columns))
    corners = [(draw.randint(0, rows - height), draw.randint(0, columns - width)) for _ in features]
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(features, corners)])
