"""Whether a word depends on where the model looked: deletion of locations, one word at a time.

At a word, with the history as it was, some locations are taken from the attention's reach and what they
had is shared among the others, as if the softmax ran over those alone (Serrano and Smith 2019, arXiv
1906.03731, zero and renormalise in this way). How much the word's log probability drops is measured once
for the most attended locations and once for as many random ones. The encoder, the hidden state and the
words before are left alone, so only what the word takes from this look at the image is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.decoding.replay import ReplayStep, replay
from captioner.errors import CaptionerError
from captioner.metrics.bootstrap import interval, resampled
from captioner.model.decoder import Decoder
from captioner.model.rows import Rows

SHARES = (0.05, 0.1, 0.25, 0.5)  # of the locations
DRAWS = 2  # random sets a word and share


@dataclass(frozen=True)
class Deletion:
    """Mean drops of a word's log probability, in nats, by the share of the locations that was deleted.

    Attributes:
        shares: of the locations.
        attended: drop when the most attended go.
        random: when random ones go.
        ratio: attended over random; None where random deletion costs nothing.
        interval: 95 % bootstrap interval of the ratio over images; None likewise.
        images, words: how many the means are over.
    """

    shares: tuple[float, ...]
    attended: tuple[float, ...]
    random: tuple[float, ...]
    ratio: tuple[float | None, ...]
    interval: tuple[tuple[float, float] | None, ...]
    images: int
    words: int


@torch.inference_mode()
def deletion_drops(
    decoder: Decoder,
    annotations: Tensor,
    captions: Sequence[Sequence[int]],
    seeds: Sequence[int],
    shares: Sequence[float] = SHARES,
) -> Tensor:
    """How far each deletion lowers the log probability of every word.

    Args:
        annotations: ``(images, locations, features)``.
        captions: one per image, as indices, without ``<end>``.
        seeds: of the random locations, one per image, so that the batch an image is in does not matter.
        shares: of the locations, rounded to at least one and not all.

    Returns:
        ``(images, shares, 2)``: each image's drops in nats summed over its words, for the most attended
        locations and for random ones.
    """
    locations = annotations.shape[1]
    if locations < 2:
        raise CaptionerError("grounding: the encoder has a single location, so none can be deleted")
    steps = max(map(len, captions), default=0)
    noise = torch.zeros(len(captions), steps, DRAWS, locations)
    for row, words, seed in zip(noise, captions, seeds):
        generator = torch.Generator().manual_seed(seed)
        row[: len(words)] = torch.rand(len(words), DRAWS, locations, generator=generator)
    noise = noise.to(annotations.device)
    counts = [min(max(1, round(share * locations)), locations - 1) for share in shares]
    total = torch.zeros(len(captions), len(counts), 2, dtype=torch.float64)
    for t, at in enumerate(replay(decoder, annotations, captions)):
        order = torch.cat([at.step.alpha.float()[:, None], noise[:, t]], dim=1)
        rank = order.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        deleted = torch.cat([rank < count for count in counts], dim=1)
        drop = log_prob_drops(decoder, at, deleted).view(len(captions), len(counts), 1 + DRAWS)
        drop = torch.stack([drop[..., 0], drop[..., 1:].mean(-1)], dim=-1)
        total += drop.cpu().double() * at.alive.cpu()[:, None, None]
    return total


def summarize(drops: Tensor, words: Sequence[int], shares: Sequence[float] = SHARES) -> Deletion:
    """Means over all words from what :func:`deletion_drops` gives for the images, and the ratios.

    Args:
        drops: ``(images, shares, 2)``.
        words: how many words each image's caption has.
    """
    total = max(1, sum(words))
    mean = (drops.sum(0) / total).tolist()
    again = resampled(drops.flatten(1).double().numpy()).reshape(-1, *drops.shape[1:])
    ratio: list[float | None] = []
    intervals: list[tuple[float, float] | None] = []
    for i, (attended, random) in enumerate(mean):
        sound = random > 0 and bool((again[:, i, 1] > 0).all())
        ratio.append(attended / random if random > 0 else None)
        intervals.append(interval(again[:, i, 0] / again[:, i, 1]) if sound else None)
    attended, random = (tuple(pair[k] for pair in mean) for k in (0, 1))
    return Deletion(tuple(shares), attended, random, tuple(ratio), tuple(intervals), len(drops), sum(words))


def log_prob_drops(decoder: Decoder, at: ReplayStep, deleted: Tensor) -> Tensor:
    """Drop of the word's log probability for every deletion ``(images, deletions, locations)``."""
    images, deletions, _ = deleted.shape
    rows = Rows.full(images, deletions, deleted.device)
    state = tuple(part[rows.owner] for part in at.state)
    memory = at.memory._replace(deleted=deleted)
    without, _ = decoder.step(at.previous[rows.owner], state, memory, rows)
    before, after = (decoder.logits(step).float().log_softmax(dim=-1) for step in (at.step, without))
    after = after.gather(-1, at.word[rows.owner, None]).view(images, deletions)
    return before.gather(-1, at.word[:, None]) - after
