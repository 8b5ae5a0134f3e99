"""Mirrored photos: more to train on for nothing, as long as no caption calls the left side the right one."""

from __future__ import annotations

from collections.abc import Sequence

from captioner.vocabulary import UNKNOWN, Vocabulary

SIDES = ("left", "right")  # the English words that a mirror swaps
Captions = Sequence[Sequence[Sequence[int]]]  # of every image, as word indices


def mirrored_captions(captions: Captions, vocabulary: Vocabulary) -> list[list[list[int]]]:
    """What the captions would say of the mirrored images."""
    swapped = list(range(len(vocabulary)))
    left, right = (vocabulary.index.get(word, UNKNOWN) for word in SIDES)
    if UNKNOWN not in (left, right):
        swapped[left], swapped[right] = right, left
    return [[[swapped[word] for word in caption] for caption in of_image] for of_image in captions]
