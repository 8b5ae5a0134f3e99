"""Word vectors as text: those of GloVe (Pennington et al. 2014), and word2vec's with a line before them.

A line is a word and its numbers, with a space between. word2vec's first line holds how many words there are,
and the width. A file of gigabytes is read line by line, and only those of words that are wanted are parsed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from captioner.errors import CaptionerError

LONGEST = 2**20  # bytes of a line


def read_word_vectors(
    path: str | Path, words: Collection[str], width: int, key: str
) -> dict[str, np.ndarray]:
    """The vectors of those of the words that the file has, each ``(width,)`` float32.

    A word that the file has only in other letters, capital ones, takes the first of those vectors.

    Args:
        key: of the configuration, which errors name.

    Raises:
        CaptionerError: there is no such file, it is not word vectors as text, or they have another width.
    """
    path = Path(os.path.expanduser(path))
    wanted = set(words)
    exact: dict[str, np.ndarray] = {}
    other: dict[str, np.ndarray] = {}
    for number, line in _lines(path, key):
        # a word may hold spaces, as some of GloVe's do
        word, *values = line.rsplit(" ", width) if number > 1 else _first(line, path, width, key)
        if not word:
            continue
        if number > 1 and len(values) != width:
            raise CaptionerError(f"{path}:{number}: has {len(values)} numbers, not {width}")
        if word in wanted and word not in exact:
            exact[word] = _vector(values, f"{path}:{number}")
        elif word not in wanted and (lower := word.lower()) in wanted and lower not in other:
            other[lower] = _vector(values, f"{path}:{number}")
    return other | exact


def _first(line: str, path: Path, width: int, key: str) -> list[str]:
    """The first line's word and numbers; none if it is word2vec's."""
    parts = line.split(" ")
    found = int(parts[1]) if len(parts) == 2 and all(map(str.isdecimal, parts)) else len(parts) - 1
    if found < 1:
        raise CaptionerError(f"{key}: {path} is not word vectors as text")
    if found != width:
        raise CaptionerError(
            f"{key}: {path} has vectors of {found} numbers, and decoder.embedding_size is {width}; "
            f"give decoder.embedding_size={found}"
        )
    return [""] if len(parts) == 2 and width != 1 else parts


def _vector(values: list[str], place: str) -> np.ndarray:
    try:
        vector = np.array(values, np.float32)
    except ValueError:
        raise CaptionerError(f"{place}: is not a word and numbers") from None
    if not all(map(math.isfinite, vector)):
        raise CaptionerError(f"{place}: a number is not finite")
    return vector


def _lines(path: Path, key: str) -> Iterator[tuple[int, str]]:
    try:
        if path.exists() and not path.is_file():
            raise CaptionerError(f"{key}: {path} is not a file")
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST or b"\0" in line:
                    raise CaptionerError(f"{key}: {path} is not word vectors as text (line {number})")
                # a word in no known encoding, as word2vec's files have some, is none of ours
                yield number, line.decode("utf-8", "replace").strip(" \r\n")
            if not number:
                raise CaptionerError(f"{key}: {path} is empty")
    except FileNotFoundError:
        raise CaptionerError(f"{key}: there is no file {path}") from None
    except OSError as error:
        raise CaptionerError(f"{key}: {path} cannot be read ({error.strerror})") from None
