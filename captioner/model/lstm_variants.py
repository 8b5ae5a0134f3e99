"""The LSTM with one part taken away or added, as Greff et al. (2017, arXiv 1503.04069) compare them.

Each differs from :class:`captioner.model.cells.LSTMCell` in the one equation that it names; the paper's have
peepholes besides. A gate that is absent takes its rows of W, U and b with it; without an input gate they are
those of :class:`captioner.model.cells.CoupledLSTMCell`. Two variants of the paper are cells of their own:
peepholes, and coupled input and forget gates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.kernels.linear import Linear
from captioner.model.cells import Cell, CoupledLSTMCell, LSTMCell, State


class NoInputGateLSTM(CoupledLSTMCell):
    """NIG, without input gate: c = f c + g. The rows of W and U hold f, g, o in this order."""

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        f, g, o = (wx + linear(h, self.hidden_map)).chunk(3, dim=-1)
        c = torch.sigmoid(f) * c + torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class NoForgetGateLSTM(Cell):
    """NFG, without forget gate, as in 1997: c = c + i g. The rows of W and U hold i, g, o in this order."""

    gates = 3
    states = 2

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, g, o = (wx + linear(h, self.hidden_map)).chunk(3, dim=-1)
        c = c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        i, _, o = torch.sigmoid(wx + F.linear(state[0], self.hidden_map)).chunk(3, dim=-1)
        return {"input": i, "output": o}


class NoOutputGateLSTM(Cell):
    """NOG, without output gate: h = tanh(c). The rows of W and U hold i, f, g in this order."""

    gates = 3
    states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.constant_(self.input_map.bias[hidden_size : 2 * hidden_size], forget_bias)

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, f, g = (wx + linear(h, self.hidden_map)).chunk(3, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.tanh(c), c

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        i, f, _ = torch.sigmoid(wx + F.linear(state[0], self.hidden_map)).chunk(3, dim=-1)
        return {"forget": f, "input": i}


class NoInputActivationLSTM(LSTMCell):
    """NIAF, without input activation function: g = W x + U h + b."""

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, f, g, o = (wx + linear(h, self.hidden_map)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * g
        return torch.sigmoid(o) * torch.tanh(c), c


class NoOutputActivationLSTM(LSTMCell):
    """NOAF, without output activation function: h = o c."""

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c = state
        i, f, g, o = (wx + linear(h, self.hidden_map)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * c, c


class FullGateRecurrenceLSTM(LSTMCell):
    """FGR, full gate recurrence: the gates see all gates of the step before.

    (i, f, o) = sigmoid(W x + U h + R (i', f', o') + b), where i', f', o' are the gates of the step before.
    They are part of the state: h, c, i, f, o. The rows and columns of R hold i, f, o in this order.
    """

    states = 5

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, forget_bias)
        self.gate_map = nn.Parameter(torch.empty(3 * hidden_size, 3 * hidden_size))
        nn.init.xavier_uniform_(self.gate_map)

    def recur(self, wx: Tensor, state: State, linear: Linear = F.linear) -> State:
        h, c, *gates = state
        i, f, g, o = (wx + linear(h, self.hidden_map)).chunk(4, dim=-1)
        seen = linear(torch.cat(gates, dim=-1), self.gate_map)
        i, f, o = torch.sigmoid(torch.cat([i, f, o], dim=-1) + seen).chunk(3, dim=-1)
        c = f * c + i * torch.tanh(g)
        return o * torch.tanh(c), c, i, f, o

    def gate_values(self, wx: Tensor, state: State) -> dict[str, Tensor]:
        _, _, i, f, o = self.recur(wx, state)
        return {"forget": f, "input": i, "output": o}


VARIANTS: dict[str, type[Cell]] = {
    "nig": NoInputGateLSTM,
    "nfg": NoForgetGateLSTM,
    "nog": NoOutputGateLSTM,
    "niaf": NoInputActivationLSTM,
    "noaf": NoOutputActivationLSTM,
    "fgr": FullGateRecurrenceLSTM,
}
