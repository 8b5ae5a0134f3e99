"""How captions are searched for."""

from __future__ import annotations

from dataclasses import dataclass

SEARCHED_TOGETHER = 64  # images; with fewer a search step's matrix products are small, and slower a row


@dataclass
class SearchConfig:
    strategy: str = "beam"  # greedy, beam or sample
    beam_size: int = 3
    max_length: int = 30  # words
    length_normalization: float = 0.7  # score = log_prob / words ** this
    block_ngrams: int = 0  # forbid repeating any n-gram of this size; 0: allow
    allow_unknown: bool = False  # may <unk> be generated?
    temperature: float = 1.0  # of sampling
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
