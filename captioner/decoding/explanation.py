"""What the model considered when it wrote a caption: other words at each step, and how its gates stood.

The search keeps none of this. It is found afterwards, by feeding the decoder the caption's own words again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.config.search import SearchConfig
from captioner.decoding.replay import replay
from captioner.decoding.search import NEVER, allowed
from captioner.model.decoder import Decoder
from captioner.model.step import Step
from captioner.vocabulary import PAD


@dataclass(frozen=True)
class Explanation:
    """Of one caption, word by word.

    Attributes:
        alternatives: for each word the likeliest that could have stood there, as (index, log probability),
            the likeliest first; ``<end>`` may be among them.
        gates: the mean over the cell's units of how far each gate opened, one value per word, by the gate's
            name; empty for a cell without gates.
    """

    alternatives: tuple[tuple[tuple[int, float], ...], ...]
    gates: dict[str, tuple[float, ...]]


@torch.inference_mode()
def explain(
    decoders: Sequence[Decoder],
    annotations: Sequence[Tensor],
    captions: Sequence[Sequence[int]],
    options: SearchConfig,
    count: int = 5,
) -> list[Explanation | None]:
    """What the model considered at every word of one caption per image, or what several did together.

    Of several, the alternatives are those of their mean probability, and a gate's value is the mean over
    them; they have none unless the gates of all have the same names.

    Args:
        decoders: the model's, or the members' of an ensemble.
        annotations: for each of them, as in :func:`replay`.
        captions: as in :func:`replay`.
        options: those of the search, so that only words that it would have allowed are alternatives.
        count: how many alternatives a word has at most, the word itself included.

    Returns:
        One explanation per caption; None for each where hard attention draws its locations, as the same draw
        does not come again.
    """
    if any(decoder.attention.look.draws for decoder in decoders):
        return [None] * len(captions)
    if not any(captions):
        return [Explanation((), {}) for _ in captions]
    found = [_replayed(d, a, captions) for d, a in zip(decoders, annotations, strict=True)]
    log_probs = torch.stack([of_words for of_words, _ in found]).logsumexp(0) - math.log(len(found))
    for t, step in enumerate(log_probs):
        said = torch.tensor([[*c, *[PAD] * t][:t] for c in captions], dtype=torch.long)
        allowed(step, said.to(step.device), t, options)
    best = log_probs.topk(min(count, log_probs.shape[-1]), dim=-1)
    words, values = best.indices.tolist(), best.values.tolist()
    means = {}
    if len({frozenset(gates) for _, gates in found}) == 1:
        means = {
            name: torch.stack([gates[name] for _, gates in found]).mean(0).tolist() for name in found[0][1]
        }

    def explanation(i: int, length: int) -> Explanation:
        alternatives = (zip(words[t][i], values[t][i]) for t in range(length))
        return Explanation(
            tuple(tuple((word, value) for word, value in step if value > NEVER) for step in alternatives),
            {name: tuple(mean[i][:length]) for name, mean in means.items()},
        )

    return [explanation(i, len(caption)) for i, caption in enumerate(captions)]


def _replayed(
    decoder: Decoder, annotations: Tensor, captions: Sequence[Sequence[int]]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Log probabilities ``(steps, captions, vocabulary)``, and gates' means ``(captions, steps)``."""
    steps = list(replay(decoder, annotations, captions))
    whole = Step.cat([moment.step for moment in steps])  # as each would read the large output layer anew
    log_probs = decoder.logits(whole).float().log_softmax(dim=-1)
    states = zip(*(moment.state for moment in steps))
    gates = decoder.gate_values(whole, tuple(torch.cat(part) for part in states))
    means = {name: gate.float().mean(dim=-1).view(len(steps), -1).T for name, gate in gates.items()}
    return log_probs.view(len(steps), len(captions), -1), means
