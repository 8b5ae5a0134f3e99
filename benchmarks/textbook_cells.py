"""The recurrent cells as they were published; the numbers are the equations of Xu et al. (2015).

Each takes x ``(rows, inputs)`` and its state, ``(rows, hidden)`` tensors, to its next state, with one matrix
product for x and one for h. Of the package's cells they read the parameters and call nothing.
"""

from __future__ import annotations

from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

from captioner.model.cells import Cell, CoupledLSTMCell, GRUCell, LSTMCell, PeepholeLSTMCell, VanillaCell
from captioner.model.lstm_variants import (
    FullGateRecurrenceLSTM,
    NoForgetGateLSTM,
    NoInputActivationLSTM,
    NoInputGateLSTM,
    NoOutputActivationLSTM,
    NoOutputGateLSTM,
)
from captioner.model.normalized_cells import LayerNormGRUCell, LayerNormLSTMCell

State = tuple[Tensor, ...]


def affine(layer: nn.Linear, x: Tensor) -> Tensor:
    """W x + b, or W x where the layer has no b."""
    return F.linear(x, layer.weight, layer.bias)


def advance(cell: Cell, x: Tensor, state: State) -> State:
    """One step of any cell."""
    return CELLS[type(cell)](cell, x, *state)


def sums(cell: Cell, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """W x + U h + b of every gate, in the order of the blocks of W and U."""
    return (affine(cell.input_map, x) + F.linear(h, cell.hidden_map)).chunk(cell.gates, dim=1)


def vanilla(cell: VanillaCell, x: Tensor, h: Tensor) -> State:
    """Elman (1990): h = tanh(W x + U h + b)."""
    (h,) = sums(cell, x, h)
    return (tanh(h),)


def lstm(cell: LSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b) (1); c = f c + i g (2); h = o tanh(c) (3)."""
    i, f, g, o = sums(cell, x, h)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def peephole(cell: PeepholeLSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """Gers & Schmidhuber (2000): i and f also see p c of the old c, o of the new one."""
    i, f, g, o = sums(cell, x, h)
    p_i, p_f, p_o = cell.peepholes
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
    return sigmoid(o + p_o * c) * tanh(c), c


def coupled(cell: CoupledLSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """Greff et al. (2015): c = f c + (1 - f) g, h = o tanh(c)."""
    f, g, o = sums(cell, x, h)
    f = sigmoid(f)
    c = f * c + (1 - f) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru(cell: GRUCell, x: Tensor, h: Tensor) -> State:
    """Cho et al. (2014): r, z = sigmoid(W x + U h + b), h = (1 - z) h + z n.

    n = tanh(W x + b + U (r h)) as published, or tanh(W x + b + r (U h + b')) with ``reset_after``.
    """
    sizes = (2 * cell.hidden_size, cell.hidden_size)  # r and z in one product, n apart
    x_gates, x_n = affine(cell.input_map, x).split(sizes, dim=1)
    U_gates, U_n = cell.hidden_map.split(sizes)
    r, z = sigmoid(x_gates + F.linear(h, U_gates)).chunk(2, dim=1)
    if cell.reset_after:
        n = tanh(x_n + r * (F.linear(h, U_n) + cell.candidate_bias))
    else:
        n = tanh(x_n + F.linear(r * h, U_n))
    return ((1 - z) * h + z * n,)


def nig(cell: NoInputGateLSTM, x: Tensor, h: Tensor, c: Tensor) -> State:
    """Greff et al. (2017), no input gate: i = 1."""
    f, g, o = sums(cell, x, h)
    c = tanh(g) + c * sigmoid(f)
    return tanh(c) * sigmoid(o), c


def nfg(cell: NoForgetGateLSTM, x: Tensor, h: Tensor, c: Tensor) -> State:
    """No forget gate: f = 1."""
    i, g, o = sums(cell, x, h)
    c = tanh(g) * sigmoid(i) + c
    return tanh(c) * sigmoid(o), c


def nog(cell: NoOutputGateLSTM, x: Tensor, h: Tensor, c: Tensor) -> State:
    """No output gate: o = 1."""
    i, f, g = sums(cell, x, h)
    c = tanh(g) * sigmoid(i) + c * sigmoid(f)
    return tanh(c), c


def niaf(cell: NoInputActivationLSTM, x: Tensor, h: Tensor, c: Tensor) -> State:
    """No input activation function: g(x) = x."""
    i, f, g, o = sums(cell, x, h)
    c = g * sigmoid(i) + c * sigmoid(f)
    return tanh(c) * sigmoid(o), c


def noaf(cell: NoOutputActivationLSTM, x: Tensor, h: Tensor, c: Tensor) -> State:
    """No output activation function: h(x) = x."""
    i, f, g, o = sums(cell, x, h)
    c = tanh(g) * sigmoid(i) + c * sigmoid(f)
    return c * sigmoid(o), c


def fgr(cell: FullGateRecurrenceLSTM, x: Tensor, h: Tensor, c: Tensor, *gates: Tensor) -> State:
    """Full gate recurrence, with the paper's nine matrices, R_ii, R_fi, R_oi of the input gate and so on."""
    i, f, g, o = sums(cell, x, h)
    blocks = [rows.chunk(3, dim=1) for rows in cell.gate_map.chunk(3)]
    i, f, o = (
        sigmoid(gate + sum(before @ R.T for before, R in zip(gates, of_gate)))
        for gate, of_gate in zip((i, f, o), blocks)
    )
    c = tanh(g) * i + c * f
    return tanh(c) * o, c, i, f, o


def normalized(a: Tensor) -> Tensor:
    """Ba et al. (2016): mean 0 and variance 1 over a row."""
    apart = a - a.mean(dim=1, keepdim=True)
    return apart / (apart.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()


def norm_lstm(cell: LayerNormLSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """Ba et al. (2016), supplement: LN(U h) + LN(W x) + b, and the memory normalized where h is computed."""
    of_h = cell.hidden_gain * normalized(F.linear(h, cell.hidden_map))
    of_x = cell.input_gain * normalized(affine(cell.input_map, x))
    i, f, g, o = (of_h + of_x + cell.bias).chunk(4, dim=1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(cell.memory_gain * normalized(c) + cell.memory_bias), c


def norm_gru(cell: LayerNormGRUCell, x: Tensor, h: Tensor) -> State:
    """Ba et al. (2016), supplement: r, z and the candidate n are each the sum of two LN."""
    sizes = (2 * cell.hidden_size, cell.hidden_size)
    x_gates, x_n = affine(cell.input_map, x).split(sizes, dim=1)
    U_gates, U_n = cell.hidden_map.split(sizes)
    of_x, of_x_n = cell.input_gain.split(sizes)
    of_h, of_h_n = cell.hidden_gain.split(sizes)
    b, b_n = cell.bias.split(sizes)
    both = of_x * normalized(x_gates) + of_h * normalized(F.linear(h, U_gates)) + b
    r, z = sigmoid(both).chunk(2, dim=1)
    if cell.reset_after:
        share = r * (of_h_n * normalized(F.linear(h, U_n)) + cell.candidate_bias)
    else:
        share = of_h_n * normalized(F.linear(r * h, U_n))
    n = tanh(of_x_n * normalized(x_n) + b_n + share)
    return ((1 - z) * h + z * n,)


CELLS = {
    VanillaCell: vanilla,
    LSTMCell: lstm,
    PeepholeLSTMCell: peephole,
    CoupledLSTMCell: coupled,
    GRUCell: gru,
    NoInputGateLSTM: nig,
    NoForgetGateLSTM: nfg,
    NoOutputGateLSTM: nog,
    NoInputActivationLSTM: niaf,
    NoOutputActivationLSTM: noaf,
    FullGateRecurrenceLSTM: fgr,
    LayerNormLSTMCell: norm_lstm,
    LayerNormGRUCell: norm_gru,
}
