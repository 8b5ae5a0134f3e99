"""What training would not stop at, and yet makes a model of no use; with the option that mends it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from captioner.config.data import DataConfig, TableConfig, VocabularyConfig
from captioner.data.doctor.summary import SplitSummary
from captioner.data.formats.delimited import PHOTO
from captioner.data.records import Record
from captioner.data.words import count_vocabulary, count_words
from captioner.errors import CaptionerError
from captioner.vocabulary import tokenize

MOST = 0.5  # of words or captions, above which there is too little to learn from
FEW = 0.1  # of words that may be unknown where an option is suggested
# as names of letters begin
WITHOUT_SPACES = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
    "JAVANESE",
    "YI ",
)
UNKNOWN_WORDS, CUT = "words that a model would not know", "captions that would be cut"
SAME, NO_TEXT, SAME_FILE = (
    "captions that are the same",
    "captions that are no text",
    "images of the same bytes",
)


def useless_words(
    train: Sequence[Record], counted: SplitSummary, config: VocabularyConfig
) -> Iterator[tuple[str, str]]:
    """Most words of the training captions would be unknown."""
    share = counted.unknown / max(1, counted.words)
    if share > MOST:
        mend = mended_vocabulary(train, config)
        yield UNKNOWN_WORDS, f"{100 * share:.1f} % of the training captions' words are unknown; {mend}"


def foreign_words(counted: SplitSummary, split: str) -> Iterator[tuple[str, str]]:
    """Most words of another split are not among those of the training captions."""
    share = counted.unknown / max(1, counted.words)
    if share > MOST:
        yield (
            UNKNOWN_WORDS,
            f"{100 * share:.1f} % of the words of data.{split} are unknown to training: are its captions in "
            "the same language?",
        )


def mended_vocabulary(train: Sequence[Record], config: VocabularyConfig) -> str:
    """The option with which few words are unknown."""
    captions = [caption for record in train for caption in record.captions]
    if config.unit == "word" and _share_without_spaces(captions) > MOST:
        by_character = replace(config, unit="character")
        if _unknown(train, by_character) < MOST:
            return "vocabulary.unit=character is for scripts without spaces"
    if config.max_size is not None and _unknown(train, replace(config, max_size=None)) <= FEW:
        return "vocabulary.max_size=null keeps all words that are frequent enough"
    for count in range(config.min_count - 1, 1, -1):
        share = _unknown(train, replace(config, min_count=count, max_size=None))
        if share <= (MOST if count == 2 else FEW):
            size = " vocabulary.max_size=null" if config.max_size is not None else ""
            return f"vocabulary.min_count={count}{size} leaves {100 * share:.1f} % unknown"
    return (
        "hardly a word occurs twice, so there is nothing that a model could learn; more captions are needed"
    )


def useless_captions(
    train: Sequence[Record], counted: SplitSummary, data: DataConfig, unit: str, longest: int
) -> Iterator[tuple[str, str]]:
    """Most training captions would be cut, are one sentence, or are no text."""
    captions = [caption for record in train for caption in record.captions]
    if counted.cut > MOST * len(captions):
        mend = f"training.max_caption_length={counted.lengths.p95} keeps 95 % of them whole"
        if unit == "character" and _share_without_spaces(captions) < MOST:
            mend = "vocabulary.unit=word counts words instead of characters"
        yield CUT, f"{counted.cut:,} of {len(captions):,} have more than {longest} {unit}s; {mend}"
    look = "; is data.caption_column the right one?" if isinstance(data, TableConfig) else ""
    (sentence, times), *_ = Counter(tuple(tokenize(text, unit)) for text in captions).most_common(1)
    if len(train) > 1 and times > MOST * len(captions):
        shown = ("" if unit == "character" else " ").join(sentence)[:60]
        yield SAME, f"{times:,} of {len(captions):,} say {shown!r}{look}"
    no_text = [text for text in captions if PHOTO.search(text.strip()) or not any(map(str.isalpha, text))]
    if len(no_text) > MOST * len(captions):
        kind = "numbers or names of files"
        yield NO_TEXT, f"{len(no_text):,} of {len(captions):,} are {kind}, such as {no_text[0][:60]!r}{look}"


def useless_images(train: Sequence[Record], digests: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Most training images are one file, as where a site answered with a placeholder."""
    (digest, times), *_ = Counter(digests).most_common(1)
    if digest and len(train) > 1 and times > MOST * len(train):
        first = train[digests.index(digest)].image_id
        yield SAME_FILE, f"{times:,} of {len(train):,} have the bytes of {first!r}; download them again"


def _unknown(train: Sequence[Record], config: VocabularyConfig) -> float:
    """The share of words that would be unknown."""
    counts = count_words(train, config.unit)
    try:
        known = count_vocabulary(train, config).index
    except CaptionerError:
        return 1.0
    return sum(n for word, n in counts.items() if word not in known) / max(1, sum(counts.values()))


def _share_without_spaces(captions: Sequence[str]) -> float:
    """The share of letters that are of a script without spaces between words."""
    letters = Counter(letter for text in captions for letter in text if letter.isalpha())
    without = sum(
        n for letter, n in letters.items() if unicodedata.name(letter, "").startswith(WITHOUT_SPACES)
    )
    return without / max(1, sum(letters.values()))
