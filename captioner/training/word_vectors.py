"""The embedding started from word vectors that were learnt from more text than captions are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch

from captioner.data.formats.word_vectors import read_word_vectors
from captioner.model.decoder import Decoder
from captioner.vocabulary import SPECIALS, Vocabulary

KEY = "decoder.embedding"


def start_embedding(decoder: Decoder, vocabulary: Vocabulary, file: str, counts: Mapping[str, int]) -> str:
    """Give the words that the file has their vectors; the others keep theirs. Returns a line on how many.

    Args:
        counts: how often each word occurs in the training captions.

    Raises:
        CaptionerError: the file is wrong, or its vectors have another width.
    """
    words = vocabulary.words[len(SPECIALS) :]
    vectors = read_word_vectors(file, words, decoder.embedding_size, KEY)
    with torch.no_grad():
        for word, vector in vectors.items():
            decoder.embedding.weight[vocabulary.index[word]] = torch.from_numpy(vector)
    said = Counter({word: counts[word] for word in words})
    share = sum(said[word] for word in vectors) / max(1, said.total())
    return (
        f"{KEY}: {len(vectors):,} of {len(words):,} words ({100 * len(vectors) / len(words):.1f} %, and "
        f"{100 * share:.1f} % of the captions' words) start from {file}"
    )
