"""Recurrent cells as their published equations, all behind one interface.

A cell turns its inputs and its previous state into its next state. States are tuples of
``(batch, hidden)`` tensors, the hidden state first, so a caller reorders or copies any cell's state with
one line and never asks which cell it is.

Every pre-activation is a sum of W x + b, called ``wx``, and U h, so ``cell(inputs, state)`` equals
``cell.recur(cell.input_map(inputs), state)``; the decoder computes the part of ``wx`` that it knows
beforehand for all steps in one product.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.kernels.linear import Linear

State = tuple[Tensor, ...]


class Cell(nn.Module):
    """What all cells have in common: one fused matrix product for the input, one for the hidden state.

    Args:
        input_size: width of x.
        hidden_size: width of h and of every other state tensor.
        bias: whether b is part of the input map; else the cell adds it.
    """

    gates: ClassVar[int]  # blocks of hidden_size rows in W and U
    states: ClassVar[int] = 1  # tensors in the state

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.input_map = nn.Linear(input_size, self.gates * hidden_size, bias)
        self.hidden_map = nn.Parameter(torch.empty(self.gates * hidden_size, hidden_size))
        nn.init.xavier_uniform_(self.input_map.weight)
        if bias:
            nn.init.zeros_(self.input_map.bias)
        for block in self.hidden_map.data.chunk(self.gates):
            nn.init.orthogonal_(block)

    def forward(self, inputs: Tensor, state: State) -> State:
        """One step: inputs ``(batch, input_size)`` and the state give the next state."""
        return self.recur(self.input_map(inputs), state)

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        """One step from wx = W x + b, ``(batch, gates * hidden_size)``.

        ``linear`` takes the products with the hidden state.
        """
        raise NotImplementedError

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        """How far each gate opens in the step that :meth:`recur` takes, from 0 to 1, by its name.

        Each is ``(batch, hidden_size)``. For inspection only; a step does not need them.
        """
        return {}


class VanillaCell(Cell):
    """Elman (1990): h = tanh(W x + U h + b)."""

    gates = 1

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        (h,) = state
        return (torch.tanh(wx + linear(h, self.hidden_map)),)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

    i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b), c = f c + i g, h = o tanh(c).
    The rows of W and U hold i, f, g, o in this order, as in torch.nn.LSTMCell.
    """

    gates = 4
    states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.constant_(self.input_map.bias[hidden_size : 2 * hidden_size], forget_bias)

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, f, g, o = (wx + linear(h, self.hidden_map)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        i, f, _, o = torch.sigmoid(wx + F.linear(state[0], self.hidden_map)).chunk(4, dim=-1)
        return {"forget": f, "input": i, "output": o}


class PeepholeLSTMCell(LSTMCell):
    """LSTM whose gates see the memory through elementwise weights (Gers & Schmidhuber 2000).

    i and f also see the old c, o sees the new one.
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, forget_bias)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size))

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, f, g, o = (wx + linear(h, self.hidden_map)).chunk(4, dim=-1)
        see_i, see_f, see_o = self.peepholes
        c = torch.sigmoid(f + see_f * c) * c + torch.sigmoid(i + see_i * c) * torch.tanh(g)
        return torch.sigmoid(o + see_o * c) * torch.tanh(c), c

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        (h, c), (_, new_c) = state, self.recur(wx, state)
        i, f, _, o = (wx + F.linear(h, self.hidden_map)).chunk(4, dim=-1)
        see_i, see_f, see_o = self.peepholes
        gates = {"forget": f + see_f * c, "input": i + see_i * c, "output": o + see_o * new_c}
        return {name: torch.sigmoid(gate) for name, gate in gates.items()}


class CoupledLSTMCell(Cell):
    """LSTM that writes what it forgets (CIFG, Greff et al. 2015): c = f c + (1 - f) g.

    The rows of W and U hold f, g, o in this order.
    """

    gates = 3
    states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.constant_(self.input_map.bias[:hidden_size], forget_bias)

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        f, g, o = (wx + linear(h, self.hidden_map)).chunk(3, dim=-1)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        f, _, o = torch.sigmoid(wx + F.linear(state[0], self.hidden_map)).chunk(3, dim=-1)
        return {"forget": f, "output": o}


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014): h = (1 - z) h + z n, with reset and update gates r, z.

    ``reset_after=False``: n = tanh(W x + b + U (r h)), as published.
    ``reset_after=True``: n = tanh(W x + b + r (U h + b')), the form of torch.nn.GRUCell, whose z is our
    1 - z. The rows of W and U hold r, z, n in this order.
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, reset_after: bool = False) -> None:
        super().__init__(input_size, hidden_size)
        self.reset_after = reset_after
        if reset_after:
            self.candidate_bias = nn.Parameter(torch.zeros(hidden_size))

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        (h,) = state
        sizes = (2 * self.hidden_size, self.hidden_size)
        wx_gates, wx_n = wx.split(sizes, dim=-1)
        if self.reset_after:
            hidden_gates, hidden_n = linear(h, self.hidden_map).split(sizes, dim=-1)
            r, z = torch.sigmoid(wx_gates + hidden_gates).chunk(2, dim=-1)
            n = torch.tanh(wx_n + r * (hidden_n + self.candidate_bias))
        else:
            to_gates, to_n = self.hidden_map.split(sizes)
            r, z = torch.sigmoid(wx_gates + linear(h, to_gates)).chunk(2, dim=-1)
            n = torch.tanh(wx_n + linear(r * h, to_n))
        return ((1 - z) * h + z * n,)

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        r, z, _ = torch.sigmoid(wx + F.linear(state[0], self.hidden_map)).chunk(3, dim=-1)
        return {"update": z, "reset": r}


CELLS: dict[str, type[Cell]] = {
    "vanilla": VanillaCell,
    "lstm": LSTMCell,
    "peephole": PeepholeLSTMCell,
    "coupled": CoupledLSTMCell,
    "gru": GRUCell,
}
