"""Whether captions are English, and the English words that name nothing in a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence

ASCII_SHARE = 0.995  # German has about 98 % of its letters in ASCII, English captions more than 99.9
FUNCTION_SHARE = 0.2  # of words; 45 % of Flickr8k's are, of Dutch captions 13 %, of other languages' fewer
ENOUGH = 30  # words, of captions of FEW on average: names of things alone have no function words
FEW = 4

# articles, pronouns, prepositions and the like
CLOSED_CLASSES = """
a an the this that these those some any each every all both no none not other another one
he she it they him her them his hers its their theirs himself herself itself themselves
who whom whose which what there here
in on at of to from with without by for about into onto over under above below behind beside besides
between among through throughout across along around near against toward towards up down off out
inside outside upon before after during while until as like than next front top side
and or but nor so if because when where then
is are was were be been being am has have had having do does did doing can could will would may might must
very too also just only
"""

FUNCTION_WORDS = frozenset(CLOSED_CLASSES.split())


def is_english(references: Sequence[Sequence[str]], unit: str) -> bool:
    """Whether English-only steps apply: the PTB tokenizer, and METEOR's stems, synonyms and paraphrases.

    They do if captions are split into words, 99.5 % of the references' letters are ASCII and, where there are
    enough words to tell, one word in five is an English function word.
    """
    captions = [caption for texts in references for caption in texts]
    letters = [letter for caption in captions for letter in caption if letter.isalpha()]
    if unit != "word" or sum(map(str.isascii, letters)) < ASCII_SHARE * len(letters):
        return False
    words = [word for caption in captions for word in re.findall(r"[^\W\d_]+", caption.lower())]
    if len(words) < max(ENOUGH, FEW * len(captions)):
        return True
    return sum(word in FUNCTION_WORDS for word in words) >= FUNCTION_SHARE * len(words)
