"""Which arrays a training run reads, a cache each: its splits, their mirror images, and mosaics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from captioner.config.training import TrainingConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.features.mosaics import all_mosaics
from captioner.features.records import mirror_images
from captioner.model.encoder import Encoder

PHOTOS, MIRRORED, MOSAICS = "photos", "mirrored", "mosaics"


class Part(NamedTuple):
    """What of a split is encoded: its photos, their mirror images or mosaics of them."""

    split: str
    kind: str = PHOTOS


def parts_of(splits: Sequence[str], options: TrainingConfig, encoder: Encoder) -> list[Part]:
    """The parts of a run; mirror images of pixels are read from the photos'."""
    found = [Part(split) for split in splits]
    if "train" in splits and options.flip and encoder.first_trained:
        found.append(Part("train", MIRRORED))
    if "train" in splits and options.mosaics:
        found.append(Part("train", MOSAICS))
    return found


def images_of(
    part: Part, records: Sequence[Record], options: TrainingConfig, preprocess: Preprocess
) -> Sequence[Record]:
    """The images of a part, of the records of its split."""
    if part.kind == MIRRORED:
        return mirror_images(records)
    if part.kind == MOSAICS:
        return [mosaic for mosaic, _ in all_mosaics(records, preprocess, options.flip > 0)]
    return records
