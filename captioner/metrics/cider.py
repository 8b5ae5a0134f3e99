"""CIDEr-D (Vedantam, Zitnick and Parikh 2015, section 6), fast enough to be a reward.

A caption is a vector of tf-idf weights for each length of n-gram, n = 1 to 4. It scores by its cosine with
each reference's vector, clipped at the reference's weights and damped by a Gaussian of the difference in
length, averaged over n and over the references, times 10. COCO's evaluation code calls this variant CIDEr,
and the numbers here are the same.

The references' vectors are computed once. An n-gram is a number of 64 bits, so that whole batches of
captions are looked up and summed by a few array operations, without a loop over captions or words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import chain, count
from typing import NamedTuple

import numpy as np

from captioner.metrics.measure import Measure, References
from captioner.metrics.statistics import Statistics, mean_statistics

ORDERS = 4  # n-grams of 1 to 4 words
Caption = Sequence[Hashable]


class Grams(NamedTuple):
    """The distinct n-grams of several captions, caption after caption.

    Attributes:
        caption: which one each belongs to.
        order: its length less one.
        key: a number that stands for its words, uint64.
        times: how often the caption says it.
    """

    caption: np.ndarray
    order: np.ndarray
    key: np.ndarray
    times: np.ndarray


class CiderD:
    """Scores captions of images whose references are known.

    Args:
        references: for each image the words of one or more captions. The document frequency of an n-gram
            is the number of these images that have it in a reference.
        sigma: width of the length penalty, in words.
    """

    def __init__(self, references: Sequence[Sequence[Caption]], sigma: float = 6.0) -> None:
        self.sigma = sigma
        self.alternatives = np.array([len(captions) for captions in references])
        self.first = np.cumsum(self.alternatives) - self.alternatives  # reference of each image
        captions = list(chain.from_iterable(references))
        words = dict.fromkeys(chain.from_iterable(captions))
        self.numbers: dict[Hashable, int] = {word: number for number, word in enumerate(words)}
        self.lengths = _lengths(captions)
        grams = self._grams(captions)

        self.keys, gram = np.unique(grams.key, return_inverse=True)
        image = np.repeat(np.arange(len(references)), self.alternatives)[grams.caption]
        place = image * len(self.keys) + gram  # of an n-gram in an image's references
        frequency = np.bincount(np.unique(place) % len(self.keys), minlength=len(self.keys))
        self.rarest = np.log(len(references))  # the idf of what no reference says
        self.idf = self.rarest - np.log(frequency)
        weight = grams.times * self.idf[gram]
        self.norms = _norms(grams, weight, len(captions))

        by_place = np.argsort(place, kind="stable")
        self.place, self.weight = place[by_place], weight[by_place]
        self.reference = grams.caption[by_place]

    def scores(self, captions: Sequence[Caption], images: Sequence[int]) -> np.ndarray:
        """CIDEr-D of each caption, 0 to 10, against the references of the image it is of."""
        owner = np.asarray(images)
        grams = self._grams(captions)
        gram = np.searchsorted(self.keys, grams.key).clip(max=len(self.keys) - 1)
        known = self.keys[gram] == grams.key
        weight = grams.times * np.where(known, self.idf[gram], self.rarest)
        norms = _norms(grams, weight, len(captions))

        # a pair is a caption beside one reference of its image
        pairs = self.alternatives[owner]
        pair_of = np.cumsum(pairs) - pairs - self.first[owner]  # plus the reference's number
        caption = np.repeat(np.arange(len(captions)), pairs)
        reference = np.arange(len(caption)) - pair_of[caption]

        # an entry is an n-gram's weight in one reference
        place = (owner[grams.caption] * len(self.keys) + gram)[known]
        start, stop = (np.searchsorted(self.place, place, side) for side in ("left", "right"))
        hits = stop - start
        said = np.repeat(np.flatnonzero(known), hits)
        entry = np.arange(len(said)) + np.repeat(start - (np.cumsum(hits) - hits), hits)
        product = np.minimum(weight[said], self.weight[entry]) * self.weight[entry]
        cell = (pair_of[grams.caption[said]] + self.reference[entry]) * ORDERS + grams.order[said]
        dots = np.bincount(cell, product, len(caption) * ORDERS).reshape(-1, ORDERS)

        norm = norms[caption] * self.norms[reference]
        cosine = np.divide(dots, norm, out=np.zeros(norm.shape), where=norm > 0).mean(1)
        longer = _lengths(captions)[caption] - self.lengths[reference]
        score = cosine * np.exp(-(longer**2) / (2 * self.sigma**2))
        return 10 * np.bincount(caption, score, len(captions)) / pairs

    def _grams(self, captions: Sequence[Caption]) -> Grams:
        """Every caption's n-grams, counted."""
        # words that no reference has get numbers anew each time, so that no score depends on earlier ones
        numbers = defaultdict(count(len(self.numbers)).__next__, self.numbers)
        words = np.array([numbers[word] for caption in captions for word in caption], np.uint64)
        owner = np.repeat(np.arange(len(captions)), [len(caption) for caption in captions])
        parts, key = [], np.zeros_like(words)
        for order in range(min(ORDERS, len(words))):
            # the sum of a random number for each word at each place in the n-gram
            key = key[: len(words) - order] + _scatter(words[order:] * np.uint64(ORDERS) + np.uint64(order))
            whole = owner[order:] == owner[: len(words) - order]
            parts.append((owner[order:][whole], np.full(whole.sum(), order), key[whole]))
        caption, length, keys = (
            (np.concatenate(part) for part in zip(*parts)) if parts else (owner, owner, words)
        )
        sort = np.lexsort((keys, caption))
        caption, length, keys = caption[sort], length[sort], keys[sort]
        new = np.ones(len(keys), bool)
        new[1:] = (keys[1:] != keys[:-1]) | (caption[1:] != caption[:-1])
        begin = np.flatnonzero(new)
        return Grams(caption[begin], length[begin], keys[begin], np.diff(begin, append=len(keys)))


def against(references: References) -> Measure:
    """``CIDEr-D``, the mean over captions, one per image."""
    cider = CiderD(references)
    return lambda captions: {"CIDEr-D": float(cider.scores(captions, range(len(captions))).mean())}


def statistics(hypotheses: Sequence[Caption], references: References) -> Statistics:
    """CIDEr-D of each caption, one per image."""
    return mean_statistics("CIDEr-D", CiderD(references).scores(hypotheses, range(len(hypotheses))))


def _lengths(captions: Sequence[Caption]) -> np.ndarray:
    return np.array([max(0, len(caption) - 1) for caption in captions])  # in bigrams, as COCO's code has it


def _norms(grams: Grams, weight: np.ndarray, captions: int) -> np.ndarray:
    """Length of each caption's vectors, ``(captions, ORDERS)``."""
    squares = np.bincount(grams.caption * ORDERS + grams.order, weight**2, captions * ORDERS)
    return np.sqrt(squares).reshape(-1, ORDERS)


def _scatter(x: np.ndarray) -> np.ndarray:
    """SplitMix64's mixing of a number's bits (Steele, Lea and Flood 2014), modulo 2^64."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
