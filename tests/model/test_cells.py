"""Recurrent cells against torch's own cells and their published equations."""

from __future__ import annotations

import pytest
import torch
from textbook_cells import advance
from torch.autograd import gradcheck

from captioner.config.model import CellConfig, CoupledConfig, GRUConfig, LSTMConfig, PeepholeConfig
from captioner.errors import CaptionerError
from captioner.model.cell_choice import build_cell
from captioner.model.cells import CELLS, CoupledLSTMCell, GRUCell, LSTMCell, PeepholeLSTMCell
from captioner.model.lstm_variants import VARIANTS, NoInputGateLSTM, NoOutputGateLSTM
from captioner.model.normalized_cells import LayerNormGRUCell, LayerNormLSTMCell

INPUTS, HIDDEN, ROWS = 3, 4, 5
NORMALIZED = ["lstm-norm", "gru-norm", "gru-after-norm"]
NAMES = [*CELLS, "gru-after", *VARIANTS, *NORMALIZED]


def inputs_and_state(cell):
    x = torch.randn(ROWS, INPUTS, dtype=torch.float64, requires_grad=True)
    state = tuple(
        torch.randn(ROWS, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(cell.states)
    )
    return x, state


def torch_twin(cell):
    """torch's cell with our weights; both its biases are used, so that neither is forgotten."""
    kind = {"VanillaCell": torch.nn.RNNCell, "LSTMCell": torch.nn.LSTMCell, "GRUCell": torch.nn.GRUCell}
    twin = kind[type(cell).__name__](INPUTS, HIDDEN).double()
    W, b, U = cell.input_map.weight.detach(), cell.input_map.bias.detach(), cell.hidden_map.detach()
    W, b, U = W.clone(), b.clone(), U.clone()
    b_hidden = torch.zeros_like(b)
    if isinstance(cell, GRUCell):
        update = slice(HIDDEN, 2 * HIDDEN)  # torch's z is our 1 - z, and 1 - sigmoid(x) = sigmoid(-x)
        W[update], b[update], U[update] = -W[update], -b[update], -U[update]
        b_hidden[2 * HIDDEN :] = cell.candidate_bias.detach()
    twin.weight_ih.data, twin.bias_ih.data = W, b
    twin.weight_hh.data, twin.bias_hh.data = U, b_hidden
    return twin


def step_twin(twin, x, state):
    if isinstance(twin, torch.nn.LSTMCell):
        return twin(x, state)
    return (twin(x, state[0]),)


@pytest.mark.parametrize("name", NAMES)
def test_cell_is_its_published_equations(make_cell, name):
    cell = make_cell(name)
    x, state = inputs_and_state(cell)
    torch.testing.assert_close(cell(x, state), advance(cell, x, state))


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru-after"])
def test_cell_equals_torchs_cell(make_cell, name):
    cell = make_cell(name)
    x, state = inputs_and_state(cell)
    torch.testing.assert_close(cell(x, state), tuple(step_twin(torch_twin(cell), x, state)))


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru-after"])
def test_gradients_equal_those_of_torchs_cell(make_cell, name):
    cell = make_cell(name)
    twin = torch_twin(cell)
    x, state = inputs_and_state(cell)
    weights = [torch.randn(ROWS, HIDDEN, dtype=torch.float64) for _ in state]

    def gradients(outputs, *wanted):
        loss = sum((output * weight).sum() for output, weight in zip(outputs, weights))
        return torch.autograd.grad(loss, wanted)

    ours = gradients(cell(x, state), x, *state, cell.input_map.weight, cell.input_map.bias, cell.hidden_map)
    theirs = list(
        gradients(step_twin(twin, x, state), x, *state, twin.weight_ih, twin.bias_ih, twin.weight_hh)
    )
    if name == "gru-after":
        sign = torch.ones(3 * HIDDEN, dtype=torch.float64)
        sign[HIDDEN : 2 * HIDDEN] = -1
        theirs[-3:] = [
            theirs[-3] * sign[:, None],
            theirs[-2] * sign,
            theirs[-1] * sign[:, None],
        ]
    torch.testing.assert_close(list(ours), theirs)


def test_peephole_without_peepholes_is_an_lstm(make_cell):
    peephole, lstm = make_cell("peephole"), make_cell("lstm")
    peephole.peepholes.data.zero_()
    lstm.load_state_dict({k: v for k, v in peephole.state_dict().items() if k != "peepholes"})
    x, state = inputs_and_state(lstm)
    torch.testing.assert_close(peephole(x, state), lstm(x, state))


def test_coupled_is_an_lstm_whose_input_gate_is_one_minus_forget(make_cell):
    coupled, lstm = make_cell("coupled"), make_cell("lstm")
    ours = coupled.input_map.weight, coupled.input_map.bias, coupled.hidden_map
    theirs = lstm.input_map.weight, lstm.input_map.bias, lstm.hidden_map
    for mine, full in zip(ours, theirs):
        f, g, o = mine.detach().chunk(3)
        full.data = torch.cat([-f, f, g, o])
    x, state = inputs_and_state(lstm)
    torch.testing.assert_close(coupled(x, state), lstm(x, state))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(make_cell, name):
    cell = make_cell(name)
    x, state = inputs_and_state(cell)
    names, weights = zip(*cell.named_parameters())

    def step(x, *rest):
        state, weights = rest[: cell.states], rest[cell.states :]
        return torch.func.functional_call(cell, dict(zip(names, weights)), (x, state))

    assert gradcheck(step, (x, *state, *weights))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_its_input_share_and_its_recurrence(make_cell, name):
    cell = make_cell(name)
    x, state = inputs_and_state(cell)
    torch.testing.assert_close(cell.recur(cell.input_map(x), state), cell(x, state))


@pytest.mark.parametrize("name", NAMES)
def test_the_next_state_has_the_shape_of_the_state(make_cell, name):
    cell = make_cell(name)
    x, state = inputs_and_state(cell)
    assert [part.shape for part in cell(x, state)] == [part.shape for part in state]


@pytest.mark.parametrize(
    ("name", "count"), [("vanilla", 1), ("lstm", 2), ("peephole", 2), ("coupled", 2), ("gru", 1)]
)
def test_states_that_a_cell_carries(name, count):
    assert CELLS[name].states == count


@pytest.mark.parametrize(
    ("config", "kind", "forget"),
    [
        (LSTMConfig(forget_bias=2.5), LSTMCell, slice(HIDDEN, 2 * HIDDEN)),
        (PeepholeConfig(forget_bias=2.5), PeepholeLSTMCell, slice(HIDDEN, 2 * HIDDEN)),
        (CoupledConfig(forget_bias=2.5), CoupledLSTMCell, slice(HIDDEN)),
        (LSTMConfig(forget_bias=2.5, variant="nig"), NoInputGateLSTM, slice(HIDDEN)),
        (LSTMConfig(forget_bias=2.5, variant="nog"), NoOutputGateLSTM, slice(HIDDEN, 2 * HIDDEN)),
    ],
)
def test_forget_bias_reaches_the_forget_gate_alone(config, kind, forget):
    cell = build_cell(config, INPUTS, HIDDEN)
    assert type(cell) is kind
    wanted = torch.zeros(cell.gates * HIDDEN)
    wanted[forget] = 2.5
    assert torch.equal(cell.input_map.bias, wanted)


@pytest.mark.parametrize("after", [False, True])
def test_configuration_chooses_where_the_gru_resets(after):
    assert build_cell(GRUConfig(reset_after=after), INPUTS, HIDDEN).reset_after is after


@pytest.mark.parametrize("name", VARIANTS)
def test_configuration_chooses_the_variant(name):
    assert type(build_cell(LSTMConfig(variant=name), INPUTS, HIDDEN)) is VARIANTS[name]


def test_layer_normalization_is_chosen_with_its_options():
    lstm = build_cell(LSTMConfig(forget_bias=2.5, layer_norm=True), INPUTS, HIDDEN)
    assert type(lstm) is LayerNormLSTMCell
    assert lstm.bias.tolist() == [0.0] * HIDDEN + [2.5] * HIDDEN + [0.0] * 2 * HIDDEN
    for after in (False, True):
        gru = build_cell(GRUConfig(reset_after=after, layer_norm=True), INPUTS, HIDDEN)
        assert type(gru) is LayerNormGRUCell and gru.reset_after is after


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variant": "nig", "layer_norm": True}, "cell.layer_norm: .*cell.variant=nig"),
        ({"variant": "cifg"}, "cell.variant: 'cifg' is not one of nig, nfg, nog, niaf, noaf, fgr"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(CaptionerError, match=said):
        build_cell(LSTMConfig(**options), INPUTS, HIDDEN)


def test_a_variant_without_a_gate_is_an_lstm_with_that_gate_open(make_cell):
    lstm = make_cell("lstm")
    x, state = inputs_and_state(lstm)
    blocks = {"i": 0, "f": 1, "g": 2, "o": 3}
    for name, lacking in (("nig", "i"), ("nfg", "f"), ("nog", "o")):
        variant, opened = make_cell(name), make_cell("lstm")
        kept = [blocks[gate] for gate in "ifgo" if gate != lacking]
        for mine, full in (
            (variant.input_map.weight, opened.input_map.weight),
            (variant.input_map.bias, opened.input_map.bias),
            (variant.hidden_map, opened.hidden_map),
        ):
            full.data.zero_()
            for block, part in zip(kept, mine.detach().chunk(3)):
                full.data[block * HIDDEN : (block + 1) * HIDDEN] = part
        opened.input_map.bias.data[blocks[lacking] * HIDDEN : (blocks[lacking] + 1) * HIDDEN] = 100.0
        torch.testing.assert_close(variant(x, state), opened(x, state))


def test_unknown_cell_is_refused_with_the_choices():
    with pytest.raises(CaptionerError, match=r"cell: 'lsmt' is not one of vanilla, lstm.*mean lstm"):
        build_cell(CellConfig("lsmt"), INPUTS, HIDDEN)
