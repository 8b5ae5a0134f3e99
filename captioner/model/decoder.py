"""The decoder: a recurrent cell that looks at the image before every word (Xu et al. 2015, section 3.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.errors import CaptionerError, check_choice
from captioner.kernels.deferred_gradients import Tape
from captioner.kernels.dropout import Dropout
from captioner.kernels.linear import Linear
from captioner.model.attention import Glimpse, Memory, SoftAttention
from captioner.model.cells import Cell, State
from captioner.model.rows import Captions, Rows

GATES = ("none", "scalar", "vector")


class Step(NamedTuple):
    """What one step hands to the output layer, a row a caption or beam.

    Attributes:
        embedding: E y of the previous word, ``(rows, embedding_size)``.
        hidden: h, ``(rows, hidden_size)``.
        context: beta z, ``(rows, features)``.
        alpha: attention weights, ``(rows, locations)``.
        beta: the gate, ``(rows,)``, its mean where it is a vector; None without a gate.
    """

    embedding: Tensor
    hidden: Tensor
    context: Tensor
    alpha: Tensor
    beta: Tensor | None


class Unrolled(NamedTuple):
    """A teacher-forced pass; the words of all captions in one dimension, step after step.

    Attributes:
        embedding, hidden, context: as in :class:`Step`, ``(words, size)``.
        targets: the word that each should predict, ``(words,)``.
        captions: the captions that were read.
        coverage: attention summed over a caption's steps, ``(captions, locations)``.
        surprise: log probability of all locations drawn for a caption, ``(captions,)``; hard attention only.
        entropy: of the attention, summed over a caption's steps, ``(captions,)``; likewise.
    """

    embedding: Tensor
    hidden: Tensor
    context: Tensor
    targets: Tensor
    captions: Captions
    coverage: Tensor
    surprise: Tensor | None
    entropy: Tensor | None


class Decoder(nn.Module):
    """Embedding, attention, gate beta, cell and deep output.

    Args:
        cell: its input must be ``embedding_size + features`` wide.
        attention: over annotations ``features`` wide.
        vocabulary_size: how many words there are, the special ones included.
        embedding_size: width of a word vector.
        features: width of an annotation.
        gate: beta as ``none``, a ``scalar`` a step (the paper), or a ``vector`` of the context's width.
        deep_output: whether the output layer sees the previous word and the context too.
        dropout: on the hidden state and the deep output.
        input_dropout: on the word vectors and the annotations.
    """

    def __init__(
        self,
        cell: Cell,
        attention: SoftAttention,
        vocabulary_size: int,
        embedding_size: int,
        features: int,
        gate: str = "scalar",
        deep_output: bool = True,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice(gate, GATES, "decoder.gate")
        for name, share in (("dropout", dropout), ("input_dropout", input_dropout)):
            if not 0 <= share < 1:
                raise CaptionerError(f"decoder.{name}: {share} is not in [0, 1)")
        hidden_size = cell.hidden_size
        self.embedding_size = embedding_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.init_state = nn.Linear(features, cell.states * hidden_size)
        self.attention = attention
        self.cell = cell
        self.gate = None
        if gate != "none":
            self.gate = nn.Linear(hidden_size, features if gate == "vector" else 1)
        self.deep_output = deep_output
        if deep_output:
            self.hidden_output = nn.Linear(hidden_size, embedding_size)
            self.context_output = nn.Linear(features, embedding_size, bias=False)
        self.word_output = nn.Linear(embedding_size if deep_output else hidden_size, vocabulary_size)
        self.dropout = Dropout(dropout)
        self.input_dropout = Dropout(input_dropout)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.word_output.bias)

    def begin(self, annotations: Tensor, generator: torch.Generator | None = None) -> tuple[Memory, State]:
        """The memory and the initial state of every image, from ``(images, locations, features)``.

        ``generator`` draws hard attention's locations; None is torch's own.
        """
        annotations = self.input_dropout(annotations)
        state = torch.tanh(self.init_state(annotations.mean(dim=1)))
        return self.attention.remember(annotations, generator), state.split(self.cell.hidden_size, dim=-1)

    def begin_captions(self, annotations: Tensor, captions: Captions) -> tuple[Memory, State]:
        """The memory that ``captions.rows`` speaks of, and the initial state of every caption."""
        memory, initial = self.begin(annotations[captions.order])
        return memory, tuple(part[captions.place] for part in initial)

    def step(self, words: Tensor, state: State, memory: Memory, rows: Rows) -> tuple[Step, State]:
        """Feed the previous words ``(rows,)``; return what the output layer needs and the next state."""
        linear = memory.weights.linear
        of_word, of_context = self._input_weights()
        embedding, share = self._read(words, of_word, linear)
        step, _, state = self._advance(embedding, share, of_context, state, memory, rows, linear)
        return step, state

    def predict(self, words: Tensor, state: State, memory: Memory, rows: Rows) -> tuple[Tensor, Step, State]:
        """A step with the log probability of every next word, ``(rows, vocabulary)`` float32."""
        step, state = self.step(words, state, memory, rows)
        logits = self.logits(step.embedding, step.hidden, step.context, memory.weights.linear)
        return logits.float().log_softmax(dim=-1), step, state

    def forward(self, annotations: Tensor, captions: Captions) -> Unrolled:
        """Teacher forcing: every word is predicted from the reference's words before it."""
        memory, state = self.begin_captions(annotations, captions)
        of_word, of_context = self._input_weights()
        embedding, share = self._read(captions.previous(), of_word)
        alive, linear = list(captions.alive), Tape().linear
        steps: list[Step] = []
        glimpses: list[Glimpse] = []
        for t, (word, word_share) in enumerate(zip(embedding.split(alive), share.split(alive))):
            state = tuple(part[: alive[t]] for part in state)
            rows = captions.rows(t)
            step, glimpse, state = self._advance(word, word_share, of_context, state, memory, rows, linear)
            steps.append(step)
            glimpses.append(glimpse)
        return Unrolled(
            embedding,
            torch.cat([step.hidden for step in steps]),
            torch.cat([step.context for step in steps]),
            captions.pack(captions.words),
            captions,
            captions.total(torch.cat([glimpse.alpha for glimpse in glimpses])),
            _total(captions, [glimpse.surprise for glimpse in glimpses]),
            _total(captions, [glimpse.entropy for glimpse in glimpses]),
        )

    def logits(self, embedding: Tensor, hidden: Tensor, context: Tensor, linear: Linear = F.linear) -> Tensor:
        """Word scores ``(rows, vocabulary)``: L_o deep(...) plus a bias."""
        deep = self.deep(embedding, hidden, context, linear)
        return linear(deep, self.word_output.weight, self.word_output.bias)

    def deep(self, embedding: Tensor, hidden: Tensor, context: Tensor, linear: Linear = F.linear) -> Tensor:
        """What the output layer reads: dropout(tanh(E y + L_h dropout(h) + L_z beta z)).

        The tanh stands in the authors' code, not in the paper's equation 7. Without deep output it is
        dropout(h) alone.
        """
        hidden = self.dropout(hidden)
        if not self.deep_output:
            return hidden
        deep = embedding + linear(hidden, self.hidden_output.weight, self.hidden_output.bias)
        deep = deep + linear(context, self.context_output.weight)
        return self.dropout(torch.tanh(deep))

    def _input_weights(self) -> tuple[Tensor, Tensor]:
        """W of the cell's input [E y; beta z], for the word and for the context."""
        weight = self.cell.input_map.weight
        of_word, of_context = weight.split((self.embedding_size, weight.shape[1] - self.embedding_size), 1)
        return of_word, of_context

    def _read(self, words: Tensor, of_word: Tensor, linear: Linear = F.linear) -> tuple[Tensor, Tensor]:
        """E y of words ``(rows,)``, and what the cell's input map makes of it, its bias included."""
        bias = self.cell.input_map.bias
        if self.input_dropout.active:
            embedding = self.input_dropout(self.embedding(words))
            return embedding, linear(embedding, of_word, bias)
        # a word is multiplied once, however often it is read
        distinct, place = words.unique(return_inverse=True)
        embedding = self.embedding(distinct)
        share = linear(embedding, of_word, bias)
        return F.embedding(place, embedding), F.embedding(place, share)

    def _advance(
        self,
        embedding: Tensor,
        word_share: Tensor,
        of_context: Tensor,
        state: State,
        memory: Memory,
        rows: Rows,
        linear: Linear,
    ) -> tuple[Step, Glimpse, State]:
        glimpse = self.attention(state[0], memory, rows, linear)
        context, beta = glimpse.context, None
        if self.gate is not None:
            gate = torch.sigmoid(linear(state[0], self.gate.weight) + self.gate.bias)
            context, beta = gate * context, gate.mean(dim=-1)
        state = self.cell.recur(word_share + linear(context, of_context), state, linear)
        return Step(embedding, state[0], context, glimpse.alpha, beta), glimpse, state


def _total(captions: Captions, values: Sequence[Tensor | None]) -> Tensor | None:
    """Each caption's sum over its steps, where there are values."""
    present = [value for value in values if value is not None]
    return captions.total(torch.cat(present)) if present else None
