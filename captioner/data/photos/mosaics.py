"""Mosaics: four images in one, two by two, to be trained on or to be asked where a word comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image

from captioner.data.photos.image import Source
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Box, Record

QUADRANTS: tuple[Box, ...] = ((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1))


def draw_mosaics(images: int, most: int, seed: int) -> list[list[int]]:
    """The numbers of the images of each mosaic, four different ones; no image is in two mosaics."""
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed)).tolist()
    four = len(QUADRANTS)
    return [order[first : first + four] for first in range(0, images - four + 1, four)][:most]


def mosaic_of(records: Sequence[Record], preprocess: Preprocess) -> Record:
    """Four images, each as the model would see it alone at half the side, with the captions of none."""
    sources: list[Source] = [record.source for record in records]
    return Record(" ".join(str(r.image_id) for r in records), partial(_drawn, sources, preprocess), ())


def _drawn(sources: Sequence[Source], preprocess: Preprocess) -> Image.Image:
    side = preprocess.image_size
    sheet = Image.new("RGB", (2 * side, 2 * side))
    for source, (left, top, _, _) in zip(sources, QUADRANTS):
        sheet.paste(preprocess.view(source).square, (round(2 * side * left), round(2 * side * top)))
    return sheet
