"""A captioner as three programs without loops: ``encoder``, ``init_state``, ``step``.

The step calls the decoder itself, so every cell, score and look is exported as it is. Only what a memory
carries is in its plain form here, products that every runtime knows, where ``captioner.kernels`` has faster
ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.errors import CaptionerError
from captioner.model.captioner import Captioner
from captioner.model.cells import Cell
from captioner.model.decoder import Decoder
from captioner.model.encoder import Encoder
from captioner.model.memory import Memory
from captioner.vocabulary import START


class PlainKeys:
    """v . tanh(k + q), or q . k where there is no v, for keys ``(images, locations, size)``."""

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys

    def __call__(self, queries: Tensor, score: Tensor | None = None) -> Tensor:
        if score is None:
            return queries @ self.keys.mT
        return torch.tanh(self.keys[:, None] + queries[:, :, None]) @ score

    def one(self, keys: Tensor, queries: Tensor, score: Tensor | None = None) -> Tensor:
        return (keys * queries).sum(-1) if score is None else torch.tanh(keys + queries) @ score


class PlainValues:
    """Weighted sums of vectors ``(images, locations, features)``."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def __call__(self, alpha: Tensor) -> Tensor:
        return alpha @ self.vectors

    def at(self, image: Tensor, location: Tensor) -> Tensor:
        index = location[:, None, None].expand(-1, 1, self.vectors.shape[-1])
        return self.vectors.gather(1, index).squeeze(1)


class OwnImage:
    """The rows of a step when each has its image's memory to itself: :class:`Rows`, without a grid."""

    owner = None

    def spread(self, rows: Tensor) -> Tensor:
        return rows[:, None]

    def of_images(self, images: Tensor) -> Tensor:
        return images

    def collect(self, grid: Tensor) -> Tensor:
        return grid.squeeze(1)


class EncoderProgram(nn.Module):
    """Pixels ``(images, 3, S, S)`` uint8 to annotations ``(images, locations, features)``."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encoder(pixels)


class InitStateProgram(nn.Module):
    """Annotations to the attention's keys ``(images, locations, size)`` and every state tensor."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()  # with the two maps alone, as a program's file holds all that its module does
        self.init_state, self.hidden_size = decoder.init_state, decoder.cell.hidden_size
        self.annotation_map: Any = decoder.attention.annotation_map
        self.scored = decoder.attention.scored

    def forward(self, annotations: Tensor) -> tuple[Tensor, ...]:
        state = torch.tanh(self.init_state(annotations.mean(dim=1)))
        return self.annotation_map(self.scored(annotations)), *state.split(self.hidden_size, dim=-1)


class StepProgram(nn.Module):
    """The words before ``(rows,)``, each row's image ``(rows,)``, the memory and the state, to the next.

    Gives log probabilities ``(rows, vocabulary)``, alpha ``(rows, locations)``, beta ``(rows,)`` where there
    is that gate, the mean opening of each of the cell's gates ``(rows, gates)`` where it has some, and
    the next state.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, words: Tensor, image: Tensor, annotations: Tensor, keys: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        decoder = self.decoder
        memory: Any = Memory(PlainKeys(keys[image]), PlainValues(annotations[image]), F.linear)  # type: ignore[arg-type]
        if decoder.attention.after_step:
            memory = memory._replace(mean=annotations.mean(dim=1)[image])
        rows: Any = OwnImage()
        log_probs, step, following = decoder.predict(words, state, memory, rows)
        found = [log_probs, step.alpha]
        if step.beta is not None:
            found.append(step.beta)
        gates = decoder.gate_values(step, state)
        if gates:
            found.append(torch.stack([gate.mean(dim=-1) for gate in gates.values()], dim=-1))
        return *found, *following


class Program(NamedTuple):
    """What an exporter needs of one program.

    Attributes:
        example: arguments of two and more rows; ``inputs`` and ``outputs`` are their names and its results'.
        sizes: for every argument, which of its dimensions may be of any size, by name.
    """

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sizes: tuple[dict[int, str], ...]


def programs(model: Captioner) -> dict[str, Program]:
    """The three programs of a model, which is put into eval mode.

    Raises:
        CaptionerError: its hard attention draws its locations, which no program could repeat.
    """
    if model.decoder.attention.look.draws:
        raise CaptionerError(
            "--inference: this model's hard attention draws its locations, which an exported program cannot "
            "repeat; choose argmax or expectation"
        )
    model.eval()
    encoder, decoder = model.encoder, model.decoder
    pixels = torch.randint(256, (2, 3, encoder.image_size, encoder.image_size), dtype=torch.uint8)
    with torch.no_grad():
        annotations = encoder(pixels)
        keys, *state = InitStateProgram(decoder)(annotations)
    image = torch.tensor([0, 1, 1])
    words = torch.full_like(image, START)
    states = tuple(f"state_{i}" for i in range(decoder.cell.states))
    following = tuple(f"next_{name}" for name in states)
    gates, has_beta = gate_names(decoder.cell), decoder.gate is not None or decoder.sentinel is not None
    beta, opened = ("beta",) * has_beta, ("gates",) * bool(gates)
    per_image, per_row = {0: "images", 1: "locations"}, {0: "rows"}
    return {
        "encoder": Program(
            EncoderProgram(encoder), (pixels,), ("pixels",), ("annotations",), ({0: "images"},)
        ),
        "init_state": Program(
            InitStateProgram(decoder), (annotations,), ("annotations",), ("keys", *states), (per_image,)
        ),
        "step": Program(
            StepProgram(decoder),
            (words, image, annotations, keys, *(part[image] for part in state)),
            ("words", "image", "annotations", "keys", *states),
            ("log_probs", "alpha", *beta, *opened, *following),
            (per_row, per_row, per_image, per_image, *[per_row] * len(states)),
        ),
    }


def gate_names(cell: Cell) -> tuple[str, ...]:
    """The cell's gates, in the order of the step's ``gates``."""
    weight = cell.input_map.weight
    wx, state = weight.new_zeros(1, len(weight)), (weight.new_zeros(1, cell.hidden_size),) * cell.states
    return tuple(cell.gate_values(wx, state))
