"""Batches of images, each with all its captions."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captioner.config import VocabularyConfig
from captioner.data.records import Record
from captioner.packing import Captions
from captioner.vocabulary import END, Vocabulary


@dataclass(frozen=True)
class Split:
    """A split that is ready to train on or to caption.

    Attributes:
        records: the images.
        features: the encoder trunk's output, a row a record.
    """

    records: Sequence[Record]
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def batches(self, size: int) -> Iterator[Tensor]:
        """All features in order, ``(images, ...)``."""
        for start in range(0, len(self), size):
            yield gather(self.features, range(start, min(start + size, len(self))))


def gather(features: np.ndarray, rows: Sequence[int]) -> Tensor:
    """Some rows of the memory-mapped array as a tensor; feature maps become float32."""
    batch = torch.from_numpy(features[np.asarray(rows, int)])
    return batch if batch.dtype == torch.uint8 else batch.float()


def count_vocabulary(records: Iterable[Record], config: VocabularyConfig) -> Vocabulary:
    """The vocabulary of the records' captions.

    Raises:
        CaptionerError: no word is frequent enough, or a value of the configuration is wrong.
    """
    texts = (caption for record in records for caption in record.captions)
    return Vocabulary.build(texts, config.unit, config.min_count, config.max_size)


def encode_captions(
    records: Sequence[Record], vocabulary: Vocabulary, max_length: int
) -> list[list[list[int]]]:
    """Every record's captions as indices, longer ones cut after ``max_length`` words."""
    cut = [[vocabulary.encode(text)[:-1][:max_length] for text in r.captions] for r in records]
    return [[[*words, END] for words in captions] for captions in cut]


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
            batch are of one size; where an image's stands is its own.

    Returns:
        ``(images, channels, fewer rows, fewer columns)``.
    """
    rows, columns = features.shape[2:]
    height, width = (draw.randint(math.ceil(least * side), side) for side in (rows, columns))
    corners = [(draw.randint(0, rows - height), draw.randint(0, columns - width)) for _ in features]
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(features, corners)])
