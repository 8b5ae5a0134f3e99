"""What a word is, and which words are known."""

from __future__ import annotations

import unicodedata

import pytest

from captioner.errors import CaptionerError
from captioner.vocabulary import END, PAD, START, UNKNOWN, Vocabulary, tokenize


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A Dog runs .", ["a", "dog", "runs"]),
        ("Wait, what?!  (Yes!)", ["wait", "what", "yes"]),
        ("a black-and-white dog", ["a", "black-and-white", "dog"]),
        ("a man's dog - it's big", ["a", "man's", "dog", "it's", "big"]),
        ("the dogs' bowl", ["the", "dogs", "bowl"]),
        ("“quoted” … text", ["quoted", "text"]),
        ("3.5 m & $20", ["3.5", "m", "20"]),
        ("<start> a <end>", ["start", "a", "end"]),
        ("cafe\u0301", ["caf\u00e9"]),  # e and its accent are one letter
        ("एक कुत्ता दौड़ रहा है।", ["एक", "कुत्ता", "दौड़", "रहा", "है"]),  # vowel signs and virama stay
        ("Собака бежит!", ["собака", "бежит"]),
        (" \t\n ", []),
        ("", []),
    ],
)
def test_caption_is_split_into_words(caption, words):
    assert tokenize(caption) == [unicodedata.normalize("NFC", word) for word in words]


def test_character_unit_takes_every_letter_as_a_word():
    assert tokenize("一只狗，跑 OK。", unit="character") == ["一", "只", "狗", "跑", "o", "k"]


@pytest.mark.parametrize(("unit", "text"), [("word", "a b"), ("character", "ab")])
def test_words_are_joined_as_people_read_them(unit, text):
    vocabulary = Vocabulary(["a", "b"], unit)
    assert vocabulary.text(map(vocabulary.index.__getitem__, "ab")) == text


def test_special_words_stand_first():
    vocabulary = Vocabulary(["dog"])
    assert [vocabulary.words[i] for i in (PAD, START, END, UNKNOWN)] == ["<pad>", "<start>", "<end>", "<unk>"]
    assert vocabulary.words[4] == "dog"
    assert len(vocabulary) == 5


def test_frequent_words_come_first_and_ties_by_spelling():
    assert Vocabulary.build(["b a", "c a", "d b a"]).words[4:] == ("a", "b", "c", "d")


def test_rare_words_are_left_out():
    assert Vocabulary.build(["a b", "a b", "a c"], min_count=2).words[4:] == ("a", "b")


def test_only_the_most_frequent_words_are_kept():
    assert Vocabulary.build(["a b", "a b", "a c"], max_size=1).words[4:] == ("a",)


def test_vocabulary_of_characters():
    vocabulary = Vocabulary.build(["狗狗跑"], unit="character")
    assert vocabulary.words[4:] == ("狗", "跑")
    assert vocabulary.encode("跑狗") == [5, 4, END]


def test_encoding_closes_with_end():
    assert Vocabulary(["a", "dog"]).encode("A dog.") == [4, 5, END]


def test_unknown_words_are_encoded_as_unknown():
    assert Vocabulary(["a"]).encode("a zebra") == [4, UNKNOWN, END]


def test_decoding_stops_at_end_and_leaves_padding_out():
    assert Vocabulary(["a", "dog"]).decode([START, 4, PAD, 5, UNKNOWN, END, 4]) == ["a", "dog", "<unk>"]


def test_decoding_undoes_encoding():
    vocabulary = Vocabulary.build(["two dogs run"])
    assert vocabulary.decode(vocabulary.encode("Two dogs run.")) == ["two", "dogs", "run"]


@pytest.mark.parametrize("words", [["a", "a"], ["<unk>"]])
def test_repeated_words_are_refused(words):
    with pytest.raises(CaptionerError, match="twice"):
        Vocabulary(words)


def test_captions_without_a_frequent_word_are_refused():
    with pytest.raises(CaptionerError, match=r"vocabulary\.min_count: no word occurs 3 times.*2 different"):
        Vocabulary.build(["a b", "a"], min_count=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "letter"}, r"vocabulary\.unit: 'letter' is not one of word, character"),
        ({"min_count": 0}, r"vocabulary\.min_count: 0 is out of range"),
        ({"max_size": 0}, r"vocabulary\.max_size: 0 is out of range"),
        ({"max_size": -1}, r"vocabulary\.max_size: -1 is out of range"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(CaptionerError, match=message):
        Vocabulary.build(["a b c"], **options)
