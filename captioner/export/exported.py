"""Exported programs behind the interface of search, whatever runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.model.cells import State
from captioner.model.rows import Rows
from captioner.model.step import Step

Run = Callable[[tuple[Tensor, ...]], list[Tensor]]  # a program's arguments to its results


class ExportedMemory(NamedTuple):
    """What the step reads of a batch of images: ``(images, locations, features)``, and the keys."""

    annotations: Tensor
    keys: Tensor

    def select(self, images: Tensor) -> ExportedMemory:
        """The memory of some of the images, by index."""
        return ExportedMemory(self.annotations[images], self.keys[images])


class Exported:
    """The three programs as :class:`captioner.decoding.search.Writer`.

    Args:
        run: the programs, by name.
        outputs: names of the step's results.
    """

    def __init__(self, run: Mapping[str, Run], outputs: tuple[str, ...]) -> None:
        self.run, self.outputs = run, outputs

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels ``(images, 3, S, S)`` uint8 to annotations ``(images, locations, features)``."""
        return self.run["encoder"]((pixels,))[0]

    def begin(
        self, annotations: Tensor, generator: torch.Generator | None = None
    ) -> tuple[ExportedMemory, State]:
        keys, *state = self.run["init_state"]((annotations,))
        return ExportedMemory(annotations, keys), tuple(state)

    def step(
        self, words: Tensor, state: State, memory: ExportedMemory, owner: Tensor
    ) -> tuple[dict[str, Tensor], State]:
        """The step's results by their names, and the next state; ``owner`` is each row's image."""
        found = self.run["step"]((words, owner, memory.annotations, memory.keys, *state))
        named = dict(zip(self.outputs, found, strict=True))
        return named, tuple(part for name, part in named.items() if name.startswith("next_"))

    def predict(
        self, words: Tensor, state: State, memory: ExportedMemory, rows: Rows
    ) -> tuple[Tensor, Step, State]:
        named, following = self.step(words, state, memory, rows.owner)
        nothing = named["alpha"][:, :0]
        step = Step(nothing, following[0], nothing, named["alpha"], named.get("beta"))
        return named["log_probs"], step, following
