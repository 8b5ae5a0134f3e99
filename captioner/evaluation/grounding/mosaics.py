"""Four images in one: whether a word's map stands on the image that the word is of. Needs no boxes.

After the grid pointing game of Böhle et al. 2021 (arXiv 2104.00032). Images of the split are shown in twos by
twos. A content word of the model's own caption counts if the references of exactly one of the four hold it:
its map should be in that image's quadrant, and deleting the quadrant should cost the word more than deleting
another does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from captioner.data.photos.mosaics import QUADRANTS
from captioner.data.records import Record
from captioner.decoding.replay import ReplayStep
from captioner.evaluation.grounding.bands import Band, bands
from captioner.evaluation.grounding.measures import covered, peaks
from captioner.evaluation.grounding.placement import VersusChance, versus_chance
from captioner.metrics.bootstrap import interval, resampled
from captioner.metrics.english import FUNCTION_WORDS
from captioner.vocabulary import tokenize


class QuadrantWord(NamedTuple):
    """A word that only one image of its mosaic can have given.

    Attributes:
        mosaic, quadrant: their numbers.
        map: of the word, ``(locations,)``.
        drops: of its log probability when each quadrant is deleted, in nats, ``(4,)``.
        apart: total variation distance of the map from its caption's mean map; NaN for a caption's only word.
    """

    mosaic: int
    quadrant: int
    map: Tensor
    drops: Tensor
    apart: float


@dataclass(frozen=True)
class QuadrantShare(VersusChance):
    """A mean over words, and what it would be by chance, each from 0 to 1; mosaics are the images.

    Attributes:
        interval: the model's 95 % bootstrap interval over mosaics.
        position: of the mean map of all words, which knows where in a mosaic words look, but not which word.
    """

    interval: tuple[float, float]
    position: float


@dataclass(frozen=True)
class GridPointing:
    """Whether maps tell which of four images a word is of.

    Attributes:
        mosaics, words: how many there were, and how many words counted.
        peak: the map's highest cell lies in the word's own quadrant.
        mass: share of the attention in it.
        own, others: mean drop of a word's log probability, in nats, when its own quadrant's locations are
            deleted, and when another's are.
        needed: share of the words for which deleting their own quadrant costs most; by chance a quarter.
        needed_interval: its 95 % bootstrap interval over mosaics.
        alone: what ``peak`` and ``mass`` would be for maps that never leave the image described. In the
            model's caption of each image by itself, it is the share of the words in one image's references
            alone that are in that image's: the others are wrong, or right and in another's references.
            None where no word counts.
        bands: the words by how far their maps are apart from their caption's mean map.
    """

    mosaics: int
    words: int
    peak: QuadrantShare
    mass: QuadrantShare
    own: float
    others: float
    needed: float
    needed_interval: tuple[float, float]
    alone: float | None = None
    bands: tuple[Band, ...] = ()


def telling_words(words: Sequence[str], records: Sequence[Record]) -> list[tuple[int, int]]:
    """The places of a caption's words that one image alone can have given, each with its number."""
    said = [{word for caption in record.captions for word in tokenize(caption)} for record in records]
    found = []
    for place, word in enumerate(words):
        holders = [number for number, of_image in enumerate(said) if word in of_image]
        if len(holders) == 1 and word not in FUNCTION_WORDS:
            found.append((place, holders[0]))
    return found


def quadrants(grid: tuple[int, int]) -> Tensor:
    """Which share of each cell lies in each quadrant, ``(4, locations)`` float64."""
    return covered(torch.tensor(QUADRANTS, dtype=torch.float64), grid)


def quadrant_drops(
    steps: Sequence[ReplayStep], grid: tuple[int, int], drops: Callable[[ReplayStep, Tensor], Tensor]
) -> Tensor:
    """Drop of every word's log probability for each quadrant that is deleted, ``(images, words, 4)``.

    Cells that two quadrants share are kept, so that all four deletions are of equally many.

    Args:
        drops: of a step and of ``(images, deletions, locations)`` booleans.
    """
    whole = quadrants(grid) == 1
    found = []
    for at in steps:
        deleted = whole.to(at.word.device).expand(len(at.word), -1, -1)
        found.append(drops(at, deleted).cpu().double())
    return torch.stack(found, dim=1) if found else torch.zeros(0, 0, len(QUADRANTS))


def alone(shown: Sequence[Sequence[Record]], captions: Sequence[Sequence[Sequence[str]]]) -> float | None:
    """See :attr:`GridPointing.alone`, of the images of mosaics and the words said of each by itself."""
    own = [
        holder == quadrant
        for four, said in zip(shown, captions)
        for quadrant, words in enumerate(said)
        for _, holder in telling_words(words, four)
    ]
    return sum(own) / len(own) if own else None


def summarize_mosaics(words: Sequence[QuadrantWord], grid: tuple[int, int], mosaics: int) -> GridPointing:
    """Means over the words, at least one, with their intervals."""
    maps = torch.stack([w.map for w in words]).double()
    image, quadrant = (torch.tensor([w[i] for w in words]) for i in (0, 1))
    drops = torch.stack([w.drops for w in words]).double()
    region = quadrants(grid)[quadrant]
    own = drops.gather(1, quadrant[:, None])[:, 0]
    needed = (drops.argmax(1) == quadrant).double()
    apart = torch.tensor([w.apart for w in words], dtype=torch.float64)
    of_peak, of_mass = ((part * region).sum(-1) for part in (peaks(maps), maps))
    return GridPointing(
        mosaics,
        len(words),
        _share(peaks(maps), peaks(maps.mean(0, keepdim=True)), region, image),
        _share(maps, maps.mean(0, keepdim=True), region, image),
        float(own.mean()),
        float((drops.sum(1) - own).mean() / 3),
        float(needed.mean()),
        _interval(needed, image),
        bands=bands(apart, of_peak, of_mass, image, _interval),
    )


def _share(maps: Tensor, position: Tensor, region: Tensor, image: Tensor) -> QuadrantShare:
    chance = versus_chance(maps, region, image)
    return QuadrantShare(
        **vars(chance),
        interval=_interval((maps * region).sum(-1), image),
        position=float((position * region).sum(-1).mean()),
    )


def _interval(values: Tensor, image: Tensor) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of values, whose mosaics are drawn again."""
    _, group = image.unique(return_inverse=True)
    groups = int(group.max()) + 1
    sums = values.new_zeros(groups).index_add(0, group, values)
    counts = torch.bincount(group, minlength=groups)
    again = resampled(torch.stack([sums, counts.to(sums.dtype)], dim=1).numpy())
    return interval(again[:, 0] / again[:, 1])
