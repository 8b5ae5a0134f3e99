"""From photos to what the encoder's frozen part makes of them, with every core at work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from captioner.data.photos.prefetch import prefetched
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.model.encoder import Encoder

BATCH = 32  # images per forward pass
SMALL_BATCH = 8  # where several passes share a CPU's cache
MOST_PASSES = 16  # at once


def encode(
    encoder: Encoder,
    preprocess: Preprocess,
    records: Sequence[Record],
    device: torch.device,
    workers: int = 0,
    reads: Callable[[int], None] = lambda n: None,
) -> Generator[np.ndarray]:
    """The trunk's output for every record, in their order and in batches.

    On a CPU every core takes its own batches from file to features. The cores then synchronize less often
    than in one pass that all of them share, and none waits for photos.

    Args:
        workers: threads that decode images. On a CPU there are as many as torch computes with, whatever the
            number is, but with 0 all happens in the calling thread.
        reads: is called with an image's number before it is read, by the thread that reads it.

    Yields:
        uint8 pixels where no stage is frozen, otherwise float16 feature maps.

    Raises:
        CaptionerError: an image cannot be read.
    """
    encoder, cores = encoder.folded(), torch.get_num_threads()
    size, threads = BATCH, cores
    if device.type == "cpu" and workers:
        workers = min(cores, MOST_PASSES)
        size, threads = SMALL_BATCH, cores // workers

    def read(number: int, record: Record) -> Tensor:
        reads(number)
        return pixels_of(preprocess, record)

    def features_of(batch: tuple[int, Sequence[Record]]) -> np.ndarray:
        if threads != cores:
            torch.set_num_threads(threads)  # of the thread that this runs in, and of those begun later
        pixels = torch.stack([read(number, record) for number, record in enumerate(batch[1], batch[0])])
        with torch.inference_mode():
            features = encoder.trunk(pixels.to(device)).cpu()
        array: np.ndarray = (features if features.dtype == torch.uint8 else features.half()).numpy()
        return array

    try:
        batches = ((i, records[i : i + size]) for i in range(0, len(records), size))
        for (features,) in prefetched(batches, features_of, 1, workers):
            yield features
    finally:
        torch.set_num_threads(cores)


def pixels_of(preprocess: Preprocess, record: Record) -> Tensor:
    """What a model sees of a record's image, uint8 of shape (3, S, S).

    Raises:
        CaptionerError: the image cannot be read.
    """
    pixels = preprocess.pixels(preprocess.view(record.source).square)
    return pixels.flip(-1) if record.mirrored else pixels
