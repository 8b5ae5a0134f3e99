"""Cells whose sums are normalized: layer normalization (Ba, Kiros and Hinton 2016, arXiv 1607.06450).

LN(a) = gain (a - mean(a)) / sqrt(var(a) + 1e-5), over all numbers of one row, those of all gates together;
every LN has a gain of its own. The paper adds a bias to each of two LN that are summed; one bias b stands for
them here, and as it is added after the normalization, the input map has none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.kernels.linear import Linear
from captioner.model.cells import Cell, State

EPSILON = 1e-5


def layer_norm(a: Tensor, gain: Tensor, bias: Tensor | None = None) -> Tensor:
    """LN(a; gain) + bias over the last dimension."""
    return F.layer_norm(a, a.shape[-1:], gain, bias, EPSILON)


class LayerNormLSTMCell(Cell):
    """LSTM with layer normalization (the paper's supplement).

    (i, f, g, o) = LN(U h) + LN(W x) + b, c = sigmoid(f) c + sigmoid(i) tanh(g),
    h = sigmoid(o) tanh(LN(c) + b'). The rows of W and U hold i, f, g, o in this order.
    """

    gates = 4
    states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, bias=False)
        width = self.gates * hidden_size
        self.input_gain, self.hidden_gain = (nn.Parameter(torch.ones(width)) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(width))
        self.memory_gain, self.memory_bias = (
            nn.Parameter(torch.full((hidden_size,), start)) for start in (1.0, 0.0)
        )
        nn.init.constant_(self.bias[hidden_size : 2 * hidden_size], forget_bias)

    def _sums(self, wx: Tensor, h: Tensor, linear: Linear = F.linear) -> tuple[Tensor, ...]:
        uh = layer_norm(linear(h, self.hidden_map), self.hidden_gain)
        return (uh + layer_norm(wx, self.input_gain, self.bias)).chunk(4, dim=-1)

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, f, g, o = self._sums(wx, h, linear)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(layer_norm(c, self.memory_gain, self.memory_bias)), c

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        i, f, _, o = map(torch.sigmoid, self._sums(wx, state[0]))
        return {"forget": f, "input": i, "output": o}


class LayerNormGRUCell(Cell):
    """GRU with layer normalization: (r, z) = sigmoid(LN(U h) + LN(W x) + b), h = (1 - z) h + z n.

    ``reset_after=False``: n = tanh(LN(W x) + LN(U (r h)) + b), Cho et al.'s with its sums normalized.
    ``reset_after=True``: n = tanh(LN(W x) + r (LN(U h) + b') + b), the paper's. r and z are normalized
    together, and n by itself. The rows of W and U hold r, z, n in this order.
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, reset_after: bool = False) -> None:
        super().__init__(input_size, hidden_size, bias=False)
        self.reset_after = reset_after
        width = self.gates * hidden_size
        self.input_gain, self.hidden_gain = (nn.Parameter(torch.ones(width)) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(width))
        if reset_after:
            self.candidate_bias = nn.Parameter(torch.zeros(hidden_size))

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        (h,) = state
        r, z = self._gates(wx, h, linear)
        _, of_n = self._split(wx)
        _, to_n = self._split(self.hidden_map, 0)
        (_, hidden_gain), (_, gain), (_, bias) = map(self._split, self._vectors())
        wx_n = layer_norm(of_n, gain, bias)
        if self.reset_after:
            n = torch.tanh(wx_n + r * layer_norm(linear(h, to_n), hidden_gain, self.candidate_bias))
        else:
            n = torch.tanh(wx_n + layer_norm(linear(r * h, to_n), hidden_gain))
        return ((1 - z) * h + z * n,)

    def _gates(self, wx: Tensor, h: Tensor, linear: Linear = F.linear) -> tuple[Tensor, Tensor]:
        of_gates, _ = self._split(wx)
        to_gates, _ = self._split(self.hidden_map, 0)
        (hidden_gain, _), (gain, _), (bias, _) = map(self._split, self._vectors())
        uh = layer_norm(linear(h, to_gates), hidden_gain)
        r, z = torch.sigmoid(uh + layer_norm(of_gates, gain, bias)).chunk(2, dim=-1)
        return r, z

    def _vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.hidden_gain, self.input_gain, self.bias

    def _split(self, blocks: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
        """The blocks of r and z, and that of n."""
        gates, n = blocks.split((2 * self.hidden_size, self.hidden_size), dim)
        return gates, n

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        r, z = self._gates(wx, state[0])
        return {"update": z, "reset": r}
