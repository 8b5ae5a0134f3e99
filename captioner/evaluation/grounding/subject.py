"""The model whose maps are measured, and what it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from captioner.config.search import SearchConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.features.split import Split, gather
from captioner.model.captioner import Captioner
from captioner.system.terminal import no_bar
from captioner.vocabulary import Vocabulary

T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """The model whose maps are measured, and the split that it looked at.

    Attributes:
        preprocess: what the model sees of a photo.
        batch_size: images, or captions.
        progress: whether bars are shown.
        search: how mosaics are captioned.
        workers: threads that decode images.
    """

    model: Captioner
    split: Split
    vocabulary: Vocabulary
    preprocess: Preprocess
    device: torch.device
    batch_size: int = 32
    progress: bool = False
    search: SearchConfig = field(default_factory=SearchConfig)
    workers: int = 0

    @property
    def grid(self) -> tuple[int, int]:
        rows, columns = self.model.encoder.grid
        return rows, columns

    @torch.inference_mode()
    def annotations(self, images: Sequence[int]) -> Tensor:
        """``(images, locations, features)`` of some of the split's images."""
        return self.model.encoder.tail(gather(self.split.features, images).to(self.device))

    def batches(self, items: Sequence[T], title: str) -> Iterable[Sequence[T]]:
        """The items a batch at a time, with a bar of this title."""
        batches = [items[i : i + self.batch_size] for i in range(0, len(items), self.batch_size)]
        return tqdm(batches, title, unit="batch", leave=False, disable=no_bar(self.progress))
