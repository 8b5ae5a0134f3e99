"""Mirrored photos: more to train on for nothing, as long as no caption calls the left side the right one."""

from __future__ import annotations

from collections.abc import Sequence

from captioner.vocabulary import UNKNOWN, Vocabulary

SIDES = {"left": "right", "right": "left"}  # the English words that a mirror swaps
Captions = Sequence[Sequence[Sequence[int]]]  # of every image, as word indices


def mirrored_words(words: Sequence[str]) -> list[str]:
    """What a caption would say of the mirrored image."""
    return [SIDES.get(word, word) for word in words]


def mirrored_captions(captions: Captions, vocabulary: Vocabulary) -> list[list[list[int]]]:
    """The same of captions as word indices; unless the vocabulary has both sides it changes none."""
    swapped = list(range(len(vocabulary)))
    left, right = (vocabulary.index.get(word, UNKNOWN) for word in SIDES)
    if UNKNOWN not in (left, right):
        swapped[left], swapped[right] = right, left
    return [[[swapped[word] for word in caption] for caption in of_image] for of_image in captions]
