"""Going through given captions word by word, as they were or might have been written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.model.attention import Memory
from captioner.model.cells import State
from captioner.model.decoder import Decoder
from captioner.model.rows import Rows
from captioner.model.step import Step
from captioner.vocabulary import PAD, START


class ReplayStep(NamedTuple):
    """The decoder at one word of every caption.

    Attributes:
        previous: the word before, ``(captions,)``.
        state: before the step.
        memory: of the images, one per caption.
        step: what came of it.
        word: the word that stands here, ``(captions,)``.
        alive: captions that have a word here, ``(captions,)`` booleans.
    """

    previous: Tensor
    state: State
    memory: Memory
    step: Step
    word: Tensor
    alive: Tensor


@torch.inference_mode()
def replay(decoder: Decoder, annotations: Tensor, captions: Sequence[Sequence[int]]) -> Iterator[ReplayStep]:
    """Feed every image ``(images, locations, features)`` its caption's words, one after the other."""
    device = annotations.device
    lengths = torch.tensor([len(words) for words in captions], device=device)
    steps = max(map(len, captions), default=0)
    padded = torch.full((len(captions), steps), PAD, device=device)
    for row, words in zip(padded, captions):
        row[: len(words)] = torch.tensor(list(words))
    memory, state = decoder.begin(annotations, torch.Generator(device).manual_seed(0))
    rows = Rows.full(len(captions), 1, device)
    previous = torch.full_like(lengths, START)
    for t in range(steps):
        step, following = decoder.step(previous, state, memory, rows)
        word = padded[:, t]
        yield ReplayStep(previous, state, memory, step, word, lengths > t)
        previous, state = word, following


def attention_of(decoder: Decoder, annotations: Tensor, captions: Sequence[Sequence[int]]) -> list[Tensor]:
    """The attention at every word of every caption, ``(words, locations)`` float32 on the CPU."""
    steps = [moment.step.alpha.float().cpu() for moment in replay(decoder, annotations, captions)]
    maps = torch.stack(steps, dim=1) if steps else torch.zeros(annotations.shape[:2])[:, None]
    return [of_image[: len(words)] for of_image, words in zip(maps, captions)]
