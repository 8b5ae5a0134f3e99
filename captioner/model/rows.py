"""Which decoder row belongs to which image, and captions packed so that nothing is computed for padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.errors import CaptionerError
from captioner.system.device import moved
from captioner.vocabulary import PAD, START


class Rows(NamedTuple):
    """The places of decoder rows in a grid of ``(images, width)``, some of whose cells may stay empty.

    Attributes:
        owner: image of every row, ``(rows,)``.
        cell: place of every row in the flattened grid, ``owner * width + rank``.
        images: how many images there are; a memory may hold more, after them.
        width: the most rows that one image has.
    """

    owner: Tensor
    cell: Tensor
    images: int
    width: int

    @classmethod
    def of(cls, owner: Tensor, rank: Tensor, images: int, width: int) -> Rows:
        width = max(width, 2)  # torch.compile would compile every kernel anew for a size of one
        return cls(owner, owner * width + rank, images, width)

    @classmethod
    def full(cls, images: int, width: int, device: torch.device) -> Rows:
        """Every image with the same number of rows, image after image."""
        cell = torch.arange(images * width, device=device)
        return cls(cell // width, cell, images, width)

    def spread(self, rows: Tensor) -> Tensor:
        """``(rows, size)`` to ``(images, width, size)``, zero where no row stands."""
        grid = rows.new_zeros(self.images * self.width, rows.shape[-1])
        return grid.index_copy(0, self.cell, rows).view(self.images, self.width, -1)

    def of_images(self, images: Tensor) -> Tensor:
        """``(images, size)`` to ``(rows, size)``, each row's own image."""
        return images[self.owner]

    def collect(self, grid: Tensor) -> Tensor:
        """``(images, width, size)`` to ``(rows, size)``."""
        return grid.flatten(0, 1).index_select(0, self.cell)


@dataclass(frozen=True)
class Captions:
    """The captions of a batch of images, longest first.

    Captions that have ended leave the step, and so do images whose captions all have: step t works on the
    first ``alive[t]`` captions and, in the order of their longest captions, on the first ``live[t]`` images.
    A packed tensor holds the words of all steps in one dimension, step after step.

    Attributes:
        words: indices, each caption closed by ``<end>``, then padded, ``(captions, steps)``.
        owner: image of each caption, ``(captions,)``.
        rank: how many captions of the same image are as long or longer, ``(captions,)``.
        order: the images, the one of the longest caption first, ``(images,)``.
        place: of each caption's image in that order, ``(captions,)``.
        alive: captions that have a word at each step, falling.
        live: images that have such a caption at each step, falling.
        widths: the most captions that one image has alive at each step, falling.
        quadrant: of a mosaic, that of each caption's photo, ``(captions,)``; None where images are whole.
    """

    words: Tensor
    owner: Tensor
    rank: Tensor
    order: Tensor
    place: Tensor
    alive: Sequence[int]
    live: Sequence[int]
    widths: Sequence[int]
    quadrant: Tensor | None = None

    @classmethod
    def build(
        cls, images: Sequence[Sequence[Sequence[int]]], quadrants: Sequence[Sequence[int]] | None = None
    ) -> Captions:
        """From the encoded captions of each image, as ``Vocabulary.encode`` gives them.

        Args:
            quadrants: where images are mosaics, that of each caption's photo.

        Raises:
            CaptionerError: there is no caption.
        """
        flat = [(i, caption, n) for i, captions in enumerate(images) for n, caption in enumerate(captions)]
        if not flat:
            raise CaptionerError("a batch of images without a single caption")
        flat.sort(key=lambda item: -len(item[1]))
        steps = len(flat[0][1])
        words = torch.tensor([[*caption, *[PAD] * (steps - len(caption))] for _, caption, _ in flat])
        seen = [0] * len(images)
        rank = []
        for image, _, _ in flat:
            rank.append(seen[image])
            seen[image] += 1
        alive = [sum(len(caption) > t for _, caption, _ in flat) for t in range(steps)]
        owner = torch.tensor([image for image, _, _ in flat])
        longest = torch.tensor([max(map(len, captions), default=0) for captions in images])
        order = longest.argsort(descending=True, stable=True)
        return cls(
            words,
            owner,
            torch.tensor(rank),
            order,
            order.argsort()[owner],
            alive,
            [int((longest > t).sum()) for t in range(steps)],
            [max(rank[:count]) + 1 for count in alive],
            None if quadrants is None else torch.tensor([quadrants[i][n] for i, _, n in flat]),
        )

    @property
    def images(self) -> int:
        """How many images the batch holds."""
        return len(self.order)

    def __len__(self) -> int:
        return len(self.words)

    def to(self, device: torch.device) -> Captions:
        """The same captions on another device."""
        there: dict[str, Any] = {name: moved(part, device) for name, part in self.tensors().items()}
        return replace(self, **there)

    def tensors(self) -> dict[str, Tensor]:
        """All that :meth:`to` moves, by attribute."""
        return {name: part for name, part in vars(self).items() if isinstance(part, Tensor)}

    def rows(self, step: int) -> Rows:
        """The captions that are alive at a step, as rows of a memory of the images in ``order``."""
        count = self.alive[step]
        images = max(self.live[step], min(2, self.images))  # for one, kernels would be compiled anew
        return Rows.of(self.place[:count], self.rank[:count], images, self.widths[step])

    def pack(self, padded: Tensor) -> Tensor:
        """``(captions, steps, ...)`` to ``(words, ...)``."""
        return torch.cat([padded[:count, t] for t, count in enumerate(self.alive)])

    def previous(self) -> Tensor:
        """The word before each packed word, ``<start>`` before the first, ``(words,)``."""
        start = torch.full_like(self.words[:, :1], START)
        return self.pack(torch.cat([start, self.words[:, :-1]], dim=1))

    def of_images(self, images: Tensor) -> Tensor:
        """``(images, size)``, in their order, to ``(words, size)``, each word's image."""
        owner = torch.cat([self.place[:count] for count in self.alive])
        return F.embedding(owner, images)  # its gradient is one sum over words

    def total(self, packed: Tensor) -> Tensor:
        """Sum over each caption's words, ``(words, ...)`` to ``(captions, ...)``."""
        numbers = torch.arange(len(self), device=packed.device)
        caption = torch.cat([numbers[:count] for count in self.alive])
        return packed.new_zeros(len(self), *packed.shape[1:]).index_add(0, caption, packed)
