"""Where the decoder looks before a word (Xu et al. 2015, section 4).

Attention has two axes: how a location is scored, which is the class here, and what is seen with the weights
that follow from the scores, which is its ``look``. Several captions or beams share an image, so what depends
on the image alone is computed once per image, in :meth:`Attention.remember`; ``Rows`` says which decoder row
belongs to which image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from captioner.config.model import AttentionConfig, HardAttentionConfig
from captioner.errors import choose
from captioner.kernels.additive_scores import AdditiveKeys
from captioner.kernels.linear import Products
from captioner.kernels.multiplicative_scores import MultiplicativeKeys
from captioner.kernels.weighted_sum import Values
from captioner.model.look import HardLook, Look, SoftLook
from captioner.model.memory import Glimpse, Keys, Memory
from captioner.model.normalization import Normalize, build_normalize, softmax
from captioner.model.rows import Rows


class Attention(nn.Module):
    """alpha = softmax(e), or a sparse map of e, with a score e_i of every location by the subclass.

    Args:
        look: what is seen with these weights; None: :class:`SoftLook`.

    Attributes:
        sees_word: whether the query is [h; E y] rather than h alone.
        local: how many of an annotation's last features score a location; 0: all.
        normalize: from scores to weights.
        after_step: whether a look follows the cell's step, so that h has read the word just written.
        sentinel: whether a word may look at the decoder's sentinel instead.
    """

    sees_word = False
    local = 0
    after_step = False
    sentinel = False
    annotation_map: nn.Linear  # from an annotation to its key

    def __init__(self, look: Look | None = None) -> None:
        super().__init__()
        self.look = look or SoftLook()
        self.normalize: Normalize = softmax

    def keys(self, annotations: Tensor) -> Keys:
        """What scoring needs of annotations ``(images, locations, features)``."""
        raise NotImplementedError

    def scores(self, query: Tensor, memory: Memory, rows: Rows) -> Tensor:
        """Scores by query ``(rows, query_size)``, on the grid: ``(images, width, locations)``."""
        raise NotImplementedError

    def score_of(self, key: Tensor, query: Tensor, memory: Memory) -> Tensor:
        """Scores ``(rows,)`` of the sentinel's keys ``(rows, size)``, one a row, by queries."""
        raise NotImplementedError

    def scored(self, annotations: Tensor) -> Tensor:
        """The part of annotations ``(..., features)`` by which locations are scored."""
        return annotations[..., -self.local :] if self.local else annotations

    def remember(self, annotations: Tensor, generator: torch.Generator | None = None) -> Memory:
        """Compute once per image what every step needs."""
        expected = self.look.expected(len(annotations), annotations.device) if self.training else None
        return Memory(
            self.keys(self.scored(annotations)), Values(annotations), Products(), expected, generator
        )

    def forward(self, query: Tensor, memory: Memory, rows: Rows, sentinel: Tensor | None = None) -> Glimpse:
        """Look at each row's image, given its query ``(rows, query_size)``, the hidden state usually.

        ``sentinel`` is its key, ``(rows, size)``, which is weighed against the locations.
        """
        scores = self.scores(query, memory, rows)
        if memory.deleted is not None:
            scores = scores.masked_fill(memory.deleted, float("-inf"))
        glimpse = self.look(self.normalize(scores), memory, rows)
        if self.training and self.normalize is not softmax:
            glimpse = glimpse._replace(dense_alpha=rows.collect(softmax(scores)))
        if sentinel is not None:
            all_scores = (rows.collect(scores), self.score_of(sentinel, query, memory)[:, None])
            glimpse = glimpse._replace(sentinel=self.normalize(torch.cat(all_scores, dim=-1))[:, -1])
        return glimpse


class AdditiveAttention(Attention):
    """e_i = v . tanh(W_a a_i + W_h h + b), the paper's (after Bahdanau et al. 2015).

    Args:
        features: width of an annotation.
        query_size: width of the query, which is the decoder's hidden state h.
        size: width of the scoring network.
    """

    def __init__(self, features: int, query_size: int, size: int, look: Look | None = None) -> None:
        super().__init__(look)
        self.annotation_map = nn.Linear(features, size)
        self.hidden_map = nn.Parameter(torch.empty(size, query_size))
        nn.init.xavier_uniform_(self.hidden_map)
        self.score = nn.Parameter(torch.empty(size))
        nn.init.uniform_(self.score, -(size**-0.5), size**-0.5)

    def keys(self, annotations: Tensor) -> AdditiveKeys:
        return AdditiveKeys.of(self.annotation_map(annotations))

    def scores(self, query: Tensor, memory: Memory, rows: Rows) -> Tensor:
        return memory.keys(rows.spread(memory.linear(query, self.hidden_map)), self.score)

    def score_of(self, key: Tensor, query: Tensor, memory: Memory) -> Tensor:
        return memory.keys.one(key, memory.linear(query, self.hidden_map), self.score)


class MultiplicativeAttention(Attention):
    """e_i = h . W a_i / sqrt(hidden_size): the general form of Luong et al. (2015), scaled.

    A bias would add the same to every location, which the softmax cancels. Scaling keeps the softmax from
    saturating in wide decoders (Vaswani et al. 2017, section 3.2.1).

    Args:
        features: width of an annotation.
        query_size: width of the query, which is the decoder's hidden state h.
    """

    def __init__(self, features: int, query_size: int, look: Look | None = None) -> None:
        super().__init__(look)
        self.annotation_map = nn.Linear(features, query_size, bias=False)

    def keys(self, annotations: Tensor) -> MultiplicativeKeys:
        return MultiplicativeKeys.of(self.annotation_map(annotations))

    def scores(self, query: Tensor, memory: Memory, rows: Rows) -> Tensor:
        return memory.keys(rows.spread(query) * query.shape[-1] ** -0.5)

    def score_of(self, key: Tensor, query: Tensor, memory: Memory) -> Tensor:
        return memory.keys.one(key, query * query.shape[-1] ** -0.5)


Build = Callable[[AttentionConfig, int, int, Look], Attention]
ATTENTIONS: dict[str, Build] = {
    "additive": lambda config, features, query, look: AdditiveAttention(features, query, config.size, look),
    "multiplicative": lambda _, features, query, look: MultiplicativeAttention(features, query, look),
}


def build_attention(
    config: AttentionConfig, features: int, hidden_size: int, embedding_size: int = 0, local: int = 0
) -> Attention:
    """The attention that the configuration names, over annotations ``features`` wide, ``local`` as above.

    Raises:
        CaptionerError: there is no score or normalization of that name, or the latter is not installed.
    """
    look: Look = SoftLook()
    if isinstance(config, HardAttentionConfig):
        look = HardLook(config.inference, config.expectation_probability, config.soft_start)
    query_size = hidden_size + embedding_size * config.sees_word
    attention = choose(ATTENTIONS, config.score, "attention.score")(
        config, local or features, query_size, look
    )
    attention.local = local
    attention.sees_word, attention.after_step = config.sees_word, config.after_step
    attention.sentinel = config.sentinel
    attention.normalize = build_normalize(config.normalize)
    return attention
