"""Every gradient in float64 against finite differences, and REINFORCE's against the exact one.

Gradients are taken by hand in four places: the attention's scores, the context, the products of the
unrolled loop, and the output layer with its loss. They are checked alone and in the whole
loss of a batch whose captions differ in length and in number.
"""

from __future__ import annotations

from itertools import product
from math import nan

import pytest
import torch
from support.reading import expected_log_likelihood
from torch import nn
from torch.autograd import gradcheck

from captioner.config.model import HardAttentionConfig, SoftAttentionConfig
from captioner.config.search import SearchConfig
from captioner.kernels.additive_scores import AdditiveKeys
from captioner.kernels.linear import Products
from captioner.kernels.weighted_sum import Values
from captioner.kernels.word_loss import word_loss
from captioner.model import look
from captioner.model.cells import CELLS
from captioner.model.rows import Captions
from captioner.training.loss import caption_loss
from captioner.training.self_critical import policy_loss
from captioner.vocabulary import END

CAPTIONS = [[[4, 7, 5, END], [5, END]], [[8, END]], [[6, 6, END], [END], [4, 5, 6, 7, END]]]


class Loss(nn.Module):
    """A loss of a decoder as a function of its weights and of the annotations."""

    def __init__(self, decoder, of_unrolled, captions=CAPTIONS):
        super().__init__()
        self.decoder, self.of_unrolled = decoder, of_unrolled
        self.captions = Captions.build(captions)

    def forward(self, annotations):
        torch.manual_seed(1)  # the same locations are drawn whenever it is called
        return self.of_unrolled(self.decoder, self.decoder(annotations, self.captions))


def check(loss, annotations):
    """Along random directions of each weight and of the annotations."""
    names, weights = zip(*loss.named_parameters())

    def call(annotations, *weights):
        return torch.func.functional_call(loss, dict(zip(names, weights)), (annotations,))

    assert gradcheck(call, (annotations.requires_grad_(), *weights), fast_mode=True)


def soft(decoder, unrolled):
    return caption_loss(decoder, unrolled, SoftAttentionConfig(penalty=0.7), label_smoothing=0.1).total


# --- the parts whose gradients are taken by hand -----------------------------------------------------


def doubles(*shapes):
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("images", [(2,), (2, 2, 1)], ids=["one step", "three steps, of fewer images"])
def test_attention(images):
    def attend(annotations, keys, query, score):
        keys, values = AdditiveKeys.of(keys), Values(annotations)
        for count in images:  # each looks in the light of what the one before it saw
            query = values(keys(query[:count], score).softmax(-1))
        return query

    assert gradcheck(attend, doubles((2, 5, 3), (2, 5, 3), (2, 2, 3), (3,)))


def test_products_of_a_loop():
    def loop(x, weight, other):
        linear = Products()
        for rows in (4, 4, 2, 1):  # captions end
            x = torch.tanh(linear(x[:rows], weight[:3]) + linear(linear(x[:rows], weight[3:]), other))
        return x

    assert gradcheck(loop, doubles((4, 3), (5, 3), (3, 2)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_output_layer(smoothing, weighted, monkeypatch):
    # so that there are several, the last one short
    monkeypatch.setattr("captioner.kernels.word_loss.CHUNK", 3)
    targets = torch.tensor([0, 3, 5, 5, 2, 1, 4])
    share = torch.linspace(-1, 2, 7, dtype=torch.float64) if weighted else None

    def loss(deep, weight, bias):
        return word_loss(deep, weight, bias, targets, smoothing, share)[0]

    assert gradcheck(loss, doubles((7, 3), (6, 3), (6,)))


# --- the whole loss of a batch -----------------------------------------------------------------------


@pytest.mark.parametrize("cell", [*CELLS, "gru-after", "fgr", "lstm-norm", "gru-norm"])
def test_loss_with_every_cell(make_decoder, make_annotations, cell):
    check(Loss(make_decoder(cell), soft), make_annotations())


@pytest.mark.parametrize("gate", ["none", "vector"])
@pytest.mark.parametrize("deep_output", [False, True])
def test_loss_with_every_gate_and_output(make_decoder, make_annotations, gate, deep_output):
    check(Loss(make_decoder(gate=gate, deep_output=deep_output), soft), make_annotations())


def test_penalty(make_decoder, make_annotations):
    def penalty(decoder, unrolled):
        config = SoftAttentionConfig(penalty=1.0)
        one, none = (
            caption_loss(decoder, unrolled, c).total for c in (config, SoftAttentionConfig(penalty=0))
        )
        return one - none

    check(Loss(make_decoder(), penalty), make_annotations())


def test_hard_attention_in_expectation(make_decoder, make_annotations):
    decoder = make_decoder(attention="hard").train()
    decoder.attention.look.expectation_probability = 1.0
    config = HardAttentionConfig(penalty=0.7, entropy_weight=0.3)

    def loss(decoder, unrolled):
        baseline = torch.tensor(nan, dtype=torch.float64)
        return caption_loss(decoder, unrolled, config, 0.1, baseline).total

    check(Loss(decoder, loss), make_annotations())


def test_hard_attention_at_drawn_locations(make_decoder, make_annotations):
    """The likelihood, the drawn locations' log probability and the entropy; half of the images draw none."""
    decoder = make_decoder(attention="hard").train()

    def parts(decoder, unrolled):
        likelihood = caption_loss(decoder, unrolled, SoftAttentionConfig(penalty=0.0)).total
        return likelihood, unrolled.steps.log_prob_drawn, unrolled.steps.entropy

    loss = Loss(decoder, parts)
    annotations = make_annotations()
    log_prob = loss(annotations)[1]
    assert (log_prob == 0).any() and (log_prob < 0).any()
    check(loss, annotations)


def test_self_critical_loss(make_decoder, make_annotations):
    said = [[[4, 7, 5, END], [5, END]], [[8, END]], [[6, 6, 4], [4, END], [4, 5, 6, 7, END]]]  # one was cut
    advantage = torch.tensor([1.0, -0.5, 2.0, 0.3, -1.0, 0.7], dtype=torch.float64)

    def loss(decoder, unrolled):
        return policy_loss(decoder, unrolled, advantage, SearchConfig("sample"))[0]

    check(Loss(make_decoder(), loss, said), make_annotations())


# --- REINFORCE ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
@pytest.mark.parametrize("baseline", [-3.0, 5.0])
def test_reinforce_over_all_paths_is_the_gradient_of_the_expected_reward(
    make_decoder, make_annotations, monkeypatch, cell, baseline
):
    """Each path of locations weighted with its probability: an expectation without sampling."""
    text, locations = [4, 5, END], 3
    decoder = make_decoder(cell, "hard").train()
    decoder.attention.look.expectation_probability = 0.0
    annotations = make_annotations(images=1, locations=locations)
    weights = list(decoder.parameters())
    wanted = torch.autograd.grad(-expected_log_likelihood(decoder, annotations[0], text), weights)
    config = HardAttentionConfig(penalty=0.0, reinforce_weight=1.0, entropy_weight=0.0, baseline_decay=1.0)
    total, whole = [torch.zeros_like(weight) for weight in weights], 0.0
    for path in product(range(locations), repeat=len(text)):
        steps = iter(path)
        monkeypatch.setattr(look, "drawn", lambda *_, steps=steps: torch.tensor([next(steps)]))
        unrolled = decoder(annotations, Captions.build([[text]]))
        probability = unrolled.steps.log_prob_drawn.sum().exp().item()
        loss = caption_loss(decoder, unrolled, config, baseline=torch.tensor(baseline, dtype=torch.float64))
        for sum_, part in zip(total, torch.autograd.grad(loss.total, weights)):
            sum_ += probability * part
        whole += probability
    assert whole == pytest.approx(1.0)
    torch.testing.assert_close(tuple(total), wanted, rtol=1e-8, atol=1e-10)


# --- half precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [*CELLS, "gru-after", "fgr", "lstm-norm", "gru-norm"])
def test_bf16_stays_within_a_few_of_its_roundings(make_decoder, make_annotations, cell):
    decoder = make_decoder(cell, spread=0.3, dtype=torch.float32)
    loss, annotations = Loss(decoder, soft), make_annotations(dtype=torch.float32)
    exact = loss(annotations)
    wanted = torch.autograd.grad(exact, decoder.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(annotations)
    found = torch.autograd.grad(half, decoder.parameters())
    rounding = 2**-8  # of a number with 8 significant bits
    assert half.item() == pytest.approx(exact.item(), rel=rounding)
    size = torch.cat([part.flatten() for part in wanted]).norm()
    off = torch.cat([(one - other).flatten() for one, other in zip(found, wanted)]).norm()
    assert 0 < off < 8 * rounding * size
