"""Captions of records as words and word indices, and what they would say of the mirrored photo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from captioner.config.data import VocabularyConfig
from captioner.data.records import Record
from captioner.vocabulary import END, UNKNOWN, Vocabulary

SIDES = {"left": "right", "right": "left"}  # the English words that a mirror swaps
Captions = Sequence[Sequence[Sequence[int]]]  # of every image, as word indices


def count_vocabulary(records: Iterable[Record], config: VocabularyConfig) -> Vocabulary:
    """The vocabulary of the records' captions.

    Raises:
        CaptionerError: no word is frequent enough, or a value of the configuration is wrong.
    """
    texts = (caption for record in records for caption in record.captions)
    return Vocabulary.build(texts, config.unit, config.min_count, config.max_size)


def encode_captions(
    records: Sequence[Record], vocabulary: Vocabulary, max_length: int
) -> list[list[list[int]]]:
    """Every record's captions as indices, longer ones cut after ``max_length`` words."""
    cut = [[vocabulary.encode(text)[:-1][:max_length] for text in r.captions] for r in records]
    return [[[*words, END] for words in captions] for captions in cut]


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
