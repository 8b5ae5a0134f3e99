"""The captions of records as words and as word indices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from captioner.config.data import VocabularyConfig
from captioner.data.records import Record
from captioner.vocabulary import END, UNKNOWN, Vocabulary, tokenize

SIDES = {"left": "right", "right": "left"}  # the English words that a mirror swaps


def count_vocabulary(records: Iterable[Record], config: VocabularyConfig) -> Vocabulary:
    """The vocabulary of the records' captions.

    Raises:
        CaptionerError: no word is frequent enough, or a value of the configuration is wrong.
    """
    texts = (caption for record in records for caption in record.captions)
    return Vocabulary.build(texts, config.unit, config.min_count, config.max_size)


def count_words(records: Iterable[Record], unit: str) -> Counter[str]:
    """How often each word stands in the records' captions."""
    return Counter(word for record in records for words in caption_words(record, unit) for word in words)


def caption_words(record: Record, unit: str) -> list[list[str]]:
    """The words of a record's captions; those of a mirror image call left what the photo's call right."""
    captions = [tokenize(caption, unit) for caption in record.captions]
    if record.mirrored:
        captions = [[SIDES.get(word, word) for word in words] for words in captions]
    return captions


def encode_captions(
    records: Sequence[Record], vocabulary: Vocabulary, max_length: int
) -> list[list[list[int]]]:
    """Every record's captions as indices with ``<end>``, longer ones cut after ``max_length`` words.

    Those of a mirror image name the other side, unless the vocabulary lacks one of the two.
    """
    swapped = swapped_sides(vocabulary)

    def encoded(record: Record, caption: str) -> list[int]:
        words = vocabulary.encode(caption)[:-1][:max_length]
        return [*([swapped.get(word, word) for word in words] if record.mirrored else words), END]

    return [[encoded(record, caption) for caption in record.captions] for record in records]


def swapped_sides(vocabulary: Vocabulary) -> dict[int, int]:
    """What the mirror image's captions have for a photo's words; nothing unless the vocabulary has both."""
    left, right = (vocabulary.index.get(word, UNKNOWN) for word in SIDES)
    return {} if UNKNOWN in (left, right) else {left: right, right: left}
