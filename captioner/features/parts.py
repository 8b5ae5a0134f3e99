"""Which arrays a training run reads, a cache each: its splits, their mirror images, and mosaics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from captioner.config.training import TrainingConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.features.mosaics import mosaic_images
from captioner.features.records import mirror_images
from captioner.model.encoder import Encoder

PHOTOS, MIRRORED, MOSAICS = "photos", "mirrored", "mosaics"


class Part(NamedTuple):
    """What of a split is encoded: its photos, their mirror images or mosaics of them."""

    split: str
    kind: str = PHOTOS


def parts_of(
    records: Mapping[str, Sequence[Record]],
    options: TrainingConfig,
    encoder: Encoder,
    preprocess: Preprocess,
) -> dict[Part, Sequence[Record]]:
    """The images of each part of a run; mirror images of pixels are read from the photos'.

    Args:
        records: of each split.
    """
    found = {Part(split): of_split for split, of_split in records.items()}
    train = records.get("train", ())
    if train and options.flip and encoder.first_trained:
        found[Part("train", MIRRORED)] = mirror_images(train)
    if options.mosaics and (mosaics := mosaic_images(train, preprocess, options.flip > 0)):
        found[Part("train", MOSAICS)] = mosaics
    return found
