"""What the model considered when it wrote a caption: other words at each step, and how its gates stood.

The search keeps none of this. It is found afterwards, by feeding the decoder the caption's own words again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.attention import HardAttention, Rows
from captioner.cells import State
from captioner.config import SearchConfig
from captioner.decoder import Decoder, Step
from captioner.search import NEVER, allowed
from captioner.vocabulary import PAD, START


@dataclass(frozen=True)
class Explanation:
    """Of one caption, word by word.

    Attributes:
        alternatives: for each word the likeliest that could have stood there, as (index, log probability),
            the likeliest first; ``<end>`` may be among them.
        gates: the mean over the cell's units of how far each gate opened, one value a word, by the gate's
            name; empty for a cell without gates.
    """

    alternatives: tuple[tuple[tuple[int, float], ...], ...]
    gates: dict[str, tuple[float, ...]]


class Replayed(NamedTuple):
    """One step of captions that are read again: the state before it, and what came of it."""

    before: State
    step: Step
    after: State


def replay(decoder: Decoder, annotations: Tensor, captions: Sequence[Sequence[int]]) -> Iterator[Replayed]:
    """Feed the decoder one caption an image, all at once; a step writes one word of each.

    Args:
        annotations: ``(images, locations, features)``.
        captions: word indices without ``<end>``. Those that are over are fed ``<pad>``, and what comes of
            it means nothing.
    """
    images, device = len(captions), annotations.device
    image = torch.arange(images, device=device)
    rows = Rows.of(image, torch.zeros_like(image), images, 1)
    memory, state = decoder.begin(annotations)
    previous = torch.full_like(image, START)
    for t in range(max(map(len, captions), default=0)):
        step, after = decoder.step(previous, state, memory, rows)
        yield Replayed(state, step, after)
        state = after
        previous = torch.tensor([c[t] if t < len(c) else PAD for c in captions], device=device)


@torch.inference_mode()
def explain(
    decoder: Decoder,
    annotations: Tensor,
    captions: Sequence[Sequence[int]],
    options: SearchConfig,
    count: int = 5,
) -> list[Explanation | None]:
    """What the model considered at every word of one caption an image; for the arguments see :func:`replay`.

    Args:
        options: those of the search, so that only words that it would have allowed are alternatives.
        count: how many alternatives a word has at most, the word itself included.

    Returns:
        One explanation a caption; None for each where hard attention draws its locations, as the same draw
        does not come again.
    """
    if isinstance(decoder.attention, HardAttention) and decoder.attention.inference == "sample":
        return [None] * len(captions)
    steps: list[_Considered] = []
    for t, (before, step, _) in enumerate(replay(decoder, annotations, captions)):
        share = decoder.cell.input_map(torch.cat([step.embedding, step.context], dim=-1))
        openness = decoder.cell.openness(share, before)
        gates = {name: gate.float().mean(dim=-1).tolist() for name, gate in openness.items()}
        logits = decoder.logits(step.embedding, step.hidden, step.context)
        said = torch.tensor([[*c, *[PAD] * t][:t] for c in captions], dtype=torch.long)
        log_probs = allowed(logits.float().log_softmax(dim=-1), said.to(annotations.device), t, options)
        best, word = log_probs.topk(min(count, log_probs.shape[1]), dim=1)
        steps.append(_Considered(gates, word.tolist(), best.tolist()))
    return [_explanation(steps[: len(caption)], i) for i, caption in enumerate(captions)]


class _Considered(NamedTuple):
    """One step of all captions: the gates, and the likeliest words."""

    gates: dict[str, list[float]]
    words: list[list[int]]
    log_probs: list[list[float]]


def _explanation(steps: Sequence[_Considered], row: int) -> Explanation:
    """That of one caption of the batch, from the steps that wrote it."""
    alternatives = tuple(
        tuple((w, p) for w, p in zip(step.words[row], step.log_probs[row]) if p > NEVER) for step in steps
    )
    names = steps[0].gates if steps else ()
    return Explanation(alternatives, {name: tuple(s.gates[name][row] for s in steps) for name in names})
