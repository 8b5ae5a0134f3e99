"""Records with what the encoder's frozen part makes of their images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captioner.config.model import EncoderConfig
from captioner.config.schema import RunConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.features.cache import cache_folder, cached_features
from captioner.features.sharded import Features
from captioner.model.encoder import Encoder


@dataclass(frozen=True)
class Split:
    """A split that is ready to train on or to caption.

    Attributes:
        records: the images.
        features: the encoder trunk's output, a row per record.
    """

    records: Sequence[Record]
    features: Features

    def __len__(self) -> int:
        return len(self.records)

    def batches(self, size: int) -> Iterator[Tensor]:
        """All features in order, ``(images, ...)``."""
        for start in range(0, len(self), size):
            yield gather(self.features, range(start, min(start + size, len(self))))


def gather(features: Features, rows: Sequence[int]) -> Tensor:
    """Some rows of a memory-mapped array as a tensor; feature maps become float32."""
    batch = torch.from_numpy(features[np.asarray(rows, int)])
    return batch if batch.dtype == torch.uint8 else batch.float()


def encode_split(
    encoder: Encoder,
    config: EncoderConfig,
    records: Sequence[Record],
    run: RunConfig,
    device: torch.device,
    title: str,
) -> Split:
    """The records with what the encoder's frozen part makes of their images."""
    features = cached_features(
        encoder,
        Preprocess.of(config),
        records,
        cache_folder(run),
        device,
        run.workers,
        title,
        run.progress,
    )
    return Split(records, features)
