"""How captions are searched for."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.config.declare import LARGEST_SEED, value

SEARCHED_TOGETHER = 64  # images; with fewer a search step's matrix products are small, and slower per row


@dataclass
class SearchConfig:
    """How captions are searched for."""

    strategy: str = value("beam", "how the next words are chosen", among=("greedy", "beam", "sample"))
    beam_size: int = value(3, "hypotheses kept per image", low=1, high=1000)
    max_length: int = value(30, "longest caption, in words", low=1, high=1000)
    length_normalization: float = value(
        0.7, "captions are ranked by log_prob / words ** this; 0 prefers short ones", low=0, high=10
    )
    block_ngrams: int = value(0, "no sequence of this many words is repeated; 0 allows all", low=0, high=1000)
    allow_unknown: bool = value(False, "<unk> may be generated")
    temperature: float = value(1.0, "of sampling", low=1e-6, high=1e6)
    top_k: int = value(0, "sample from this many words, the most likely; 0: all", low=0, high=10**6)
    top_p: float = value(1.0, "sample from the most likely words up to this probability", low=0, high=1)
    seed: int = value(0, "of sampling", low=0, high=LARGEST_SEED)
