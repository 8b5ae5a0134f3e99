"""The decoder: a recurrent cell that looks at the image for every word (Xu et al. 2015, section 3.1.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.errors import CaptionerError, choose
from captioner.kernels.dropout import Dropout
from captioner.kernels.linear import Linear
from captioner.kernels.word_loss import word_loss
from captioner.model.attention import Attention
from captioner.model.cells import Cell, State
from captioner.model.initial_state import build_initial_state
from captioner.model.memory import Memory
from captioner.model.rows import Captions, Rows
from captioner.model.sentinel import VisualSentinel
from captioner.model.step import Step, Unrolled


class Decoder(nn.Module):
    """Embedding, attention, gate beta, cell and deep output.

    Before its step the cell's hidden state looks at the image, and the cell reads the word and what was seen.
    With ``attention.after_step`` it looks after its step (Lu et al. 2017, arXiv 1612.01887, section 2.2): the
    cell reads the word and the mean annotation, and what is seen goes to the deep output alone. With
    ``attention.sentinel`` that is a mixture of the annotations and of a :class:`VisualSentinel`.

    Args:
        cell: its input must be ``embedding_size + features`` wide.
        attention: over annotations ``features`` wide.
        vocabulary_size: how many words there are, the special ones included.
        embedding_size: width of a word vector.
        features: width of an annotation.
        gate: beta as ``none``, a ``scalar`` per step (the paper), or a ``vector`` of the context's width.
        deep_output: whether the output layer sees the previous word and the context too.
        dropout: on the hidden state and the deep output.
        input_dropout: on the word vectors and the annotations.
        initial_state: what the cell's state begins as, see :mod:`captioner.model.initial_state`.
    """

    def __init__(
        self,
        cell: Cell,
        attention: Attention,
        vocabulary_size: int,
        embedding_size: int,
        features: int,
        gate: str = "scalar",
        deep_output: bool = True,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        initial_state: str = "mean",
    ) -> None:
        super().__init__()
        beta_size = choose({"none": 0, "scalar": 1, "vector": features}, gate, "decoder.gate")
        for name, share in (("dropout", dropout), ("input_dropout", input_dropout)):
            if not 0 <= share < 1:
                raise CaptionerError(f"decoder.{name}: {share} is not in [0, 1)")
        hidden_size = cell.hidden_size
        self.embedding_size = embedding_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.init_state = build_initial_state(initial_state, features, cell.states * hidden_size)
        self.attention = attention
        self.cell = cell
        self.gate = nn.Linear(hidden_size, beta_size) if beta_size else None
        self.deep_output = deep_output
        if deep_output:
            self.hidden_output = nn.Linear(hidden_size, embedding_size)
            self.context_output = nn.Linear(features, embedding_size, bias=False)
        self.sentinel = None
        if attention.sentinel:
            key_size = attention.annotation_map.out_features
            self.sentinel = VisualSentinel(embedding_size + features, hidden_size, key_size)
            self.sentinel_output = nn.Linear(hidden_size, embedding_size, bias=False)
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
        mean = annotations.mean(dim=1)
        state = torch.tanh(self.init_state(mean))
        memory = self.attention.remember(annotations, generator)
        if self.attention.after_step:
            memory = memory._replace(mean=mean)
        return memory, state.split(self.cell.hidden_size, dim=-1)

    def begin_captions(self, annotations: Tensor, captions: Captions) -> tuple[Memory, State]:
        """The memory that ``captions.rows`` refers to, and the initial state of every caption."""
        memory, initial = self.begin(annotations[captions.order])
        return memory, tuple(part[captions.place] for part in initial)

    def step(self, words: Tensor, state: State, memory: Memory, rows: Rows) -> tuple[Step, State]:
        """Feed the previous words ``(rows,)``; return what came of it and the next state."""
        embedding, wx = self._read(words, memory.linear)
        if memory.mean is None:
            return self._advance(embedding, wx, state, memory, rows)
        mean = rows.of_images(memory.mean)
        wx = wx + memory.linear(mean, self._input_weights()[1])
        step, state = self._advance(embedding, wx, state, memory, rows)
        return step._replace(seen=mean), state

    def predict(self, words: Tensor, state: State, memory: Memory, rows: Rows) -> tuple[Tensor, Step, State]:
        """A step with the log probability of every next word, ``(rows, vocabulary)`` float32."""
        step, state = self.step(words, state, memory, rows)
        return self.logits(step, memory.linear).float().log_softmax(dim=-1), step, state

    def forward(self, annotations: Tensor, captions: Captions) -> Unrolled:
        """Teacher forcing: every word is predicted from the reference's words before it."""
        memory, state = self.begin_captions(annotations, captions)
        embedding, wx = self._read(captions.previous())
        if memory.mean is not None:
            wx = wx + captions.of_images(F.linear(memory.mean, self._input_weights()[1]))
        alive = list(captions.alive)
        steps: list[Step] = []
        for t, (word, word_wx) in enumerate(zip(embedding.split(alive), wx.split(alive))):
            state = tuple(part[: alive[t]] for part in state)
            step, state = self._advance(word, word_wx, state, memory, captions.rows(t))
            steps.append(step)
        return Unrolled(Step.cat(steps), captions.pack(captions.words), captions)

    def gate_values(self, step: Step, state: State) -> dict[str, Tensor]:
        """How far the cell's gates opened in a step from ``state``, ``(rows, hidden_size)`` each."""
        seen = step.context if step.seen is None else step.seen
        wx = self.cell.input_map(torch.cat([step.embedding, seen], dim=-1))
        return self.cell.gate_values(wx, state)

    def logits(self, step: Step, linear: Linear = F.linear) -> Tensor:
        """Word scores ``(rows, vocabulary)``: L_o deep(...) plus a bias."""
        return linear(self.deep(step, linear), self.word_output.weight, self.word_output.bias)

    def word_loss(self, unrolled: Unrolled, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """The label-smoothed loss summed over words, and each word's negative log likelihood, ``(words,)``.

        The same as cross entropy of :meth:`logits`, without holding the logits of all words at once.
        """
        layer = self.word_output
        return word_loss(self.deep(unrolled.steps), layer.weight, layer.bias, unrolled.targets, smoothing)

    def deep(self, step: Step, linear: Linear = F.linear) -> Tensor:
        """What the output layer reads: dropout(tanh(E y + L_h dropout(h) + L_z beta z)).

        The tanh is in the authors' code, not in the paper's equation 7. Without deep output it is
        dropout(h) alone.
        """
        hidden = self.dropout(step.hidden)
        if not self.deep_output:
            return hidden
        deep = step.embedding + linear(hidden, self.hidden_output.weight, self.hidden_output.bias)
        deep = deep + linear(step.context, self.context_output.weight)
        if step.sentinel is not None:
            deep = deep + linear(step.sentinel, self.sentinel_output.weight)
        return self.dropout(torch.tanh(deep))

    def _input_weights(self) -> tuple[Tensor, Tensor]:
        """W of the cell's input [E y; beta z], for the word and for the context, or the mean annotation."""
        weight = self.cell.input_map.weight
        of_word, of_context = weight.split((self.embedding_size, weight.shape[1] - self.embedding_size), 1)
        return of_word, of_context

    def _read(self, words: Tensor, linear: Linear = F.linear) -> tuple[Tensor, Tensor]:
        """E y of words ``(rows,)``, and what the cell's input map makes of it, its bias included."""
        (of_word, _), bias = self._input_weights(), self.cell.input_map.bias
        if bias is None:  # a product without one would be taken for one of the loop
            linear = F.linear
        # distinct words have no fixed number, for which a GPU would have to be waited
        if self.input_dropout.active or words.is_cuda or torch.compiler.is_compiling():
            embedding = self.input_dropout(self.embedding(words))
            return embedding, linear(embedding, of_word, bias)
        # a word is multiplied once, however often it is read
        distinct, place = words.unique(return_inverse=True)
        embedding = self.embedding(distinct)
        wx = linear(embedding, of_word, bias)
        return F.embedding(place, embedding), F.embedding(place, wx)

    def _advance(
        self, embedding: Tensor, wx: Tensor, state: State, memory: Memory, rows: Rows
    ) -> tuple[Step, State]:
        """One step from a word's vector and what of the cell's input is known before, ``wx``."""
        if self.attention.after_step:
            before, state = state, self.cell.recur(wx, state, memory.linear)
            return self.look_after(embedding, before, state, memory, rows), state
        step, linear = self.look(embedding, state[0], memory, rows), memory.linear
        _, of_context = self._input_weights()
        state = self.cell.recur(wx + linear(step.context, of_context), state, linear)
        return step._replace(hidden=state[0]), state

    def look_after(self, embedding: Tensor, before: State, after: State, memory: Memory, rows: Rows) -> Step:
        """What the hidden state after the cell's step sees, or the sentinel that step made."""
        if self.sentinel is None or memory.mean is None:
            return self.look(embedding, after[0], memory, rows)
        inputs = torch.cat((embedding, rows.of_images(memory.mean)), dim=-1)
        sentinel = self.sentinel(inputs, before, after, memory.linear)
        return self.look(embedding, after[0], memory, rows, sentinel)

    def look(
        self,
        embedding: Tensor,
        hidden: Tensor,
        memory: Memory,
        rows: Rows,
        sentinel: Tensor | None = None,
    ) -> Step:
        """What a hidden state ``(rows, hidden_size)`` sees, and how much of it counts."""
        linear = memory.linear
        query = torch.cat((hidden, embedding), dim=-1) if self.attention.sees_word else hidden
        key = None if sentinel is None or self.sentinel is None else self.sentinel.key_map(sentinel)
        glimpse = self.attention(query, memory, rows, key)
        context, beta = glimpse.context, None
        if self.gate is not None:
            gate = torch.sigmoid(linear(hidden, self.gate.weight) + self.gate.bias)
            context, beta = gate * context, gate.mean(dim=-1)
        if sentinel is not None:
            weight = glimpse.sentinel[:, None]
            sentinel, context, beta = weight * sentinel, (1 - weight) * context, 1 - glimpse.sentinel
        return Step(
            embedding,
            hidden,
            context,
            glimpse.alpha,
            beta,
            glimpse.log_prob_drawn,
            glimpse.entropy,
            glimpse.dense_alpha,
            sentinel=sentinel,
        )
