"""The three things a memory calls, in plain form: what ``captioner.kernels`` must compute, sooner."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from captioner.kernels import additive_scores, linear
from captioner.model.rows import Captions
from captioner.vocabulary import END

CELLS = ["vanilla", "lstm", "peephole", "coupled", "gru", "gru-after"]
LOOKS = ["soft", "hard-argmax", "hard-expectation"]
CAPTIONS = [[[4, 5, END], [6, END]], [[8, 7, 6, 5, END], [4, END], [END]], [[7, END]]]


class PlainKeys:
    def __init__(self, keys):
        self.keys = keys

    def __call__(self, queries, *score):
        keys = self.keys[: len(queries)]
        if not score:
            return queries @ keys.mT
        return torch.tanh(keys[:, None] + queries[:, :, None]) @ score[0]

    def one(self, keys, queries, *score):
        return torch.tanh(keys + queries) @ score[0] if score else (keys * queries).sum(-1)

    def select(self, images):
        return PlainKeys(self.keys[images])


class PlainValues:
    def __init__(self, vectors):
        self.vectors = vectors

    def __call__(self, alpha):
        return alpha @ self.vectors[: len(alpha)]

    def at(self, image, location):
        return self.vectors[image, location]


@pytest.fixture
def plain(monkeypatch):
    """Makes the model use the plain forms from now on."""

    def use():
        keys = type("PlainKeysOf", (), {"of": PlainKeys})
        monkeypatch.setattr("captioner.model.attention.AdditiveKeys", keys)
        monkeypatch.setattr("captioner.model.attention.MultiplicativeKeys", keys)
        monkeypatch.setattr("captioner.model.attention.Values", PlainValues)
        monkeypatch.setattr("captioner.model.attention.Products", lambda: F.linear)

    return use


def read(decoder, annotations):
    """What a teacher-forced pass gives, and its gradients by every weight and the annotations."""
    unrolled = decoder(annotations, Captions.build(CAPTIONS))
    logits, coverage = decoder.logits(unrolled.steps), unrolled.coverage
    mixed = torch.linspace(0, 60, logits.numel(), dtype=logits.dtype).sin().view_as(logits)
    places = torch.linspace(0, 9, coverage.numel(), dtype=coverage.dtype).cos().view_as(coverage)
    loss = (logits * mixed).sum() + (coverage.square() * places).sum()
    inputs = [*decoder.parameters(), annotations]
    gradients = torch.autograd.grad(loss, inputs, allow_unused=True)
    return logits, coverage, *[torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs)]


@pytest.mark.parametrize("deep_output", [True, False], ids=["deep", "shallow"])
@pytest.mark.parametrize("gate", ["none", "scalar", "vector"])
@pytest.mark.parametrize("score", ["additive", "multiplicative"])
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("cell", CELLS)
def test_fast_forms_are_the_plain_ones(
    make_decoder, make_annotations, plain, cell, look, score, gate, deep_output
):
    decoder = make_decoder(cell, look, score=score, gate=gate, deep_output=deep_output)
    annotations = make_annotations().requires_grad_()
    ours = read(decoder, annotations)
    plain()
    torch.testing.assert_close(ours, read(decoder, annotations))


@pytest.mark.parametrize("score", ["additive", "multiplicative"])
@pytest.mark.parametrize("options", [{"after_step": True}, {"sentinel": True}], ids=["after", "sentinel"])
def test_fast_forms_are_the_plain_ones_after_the_step(make_decoder, make_annotations, plain, options, score):
    """Where no look depends on the looks before it."""
    decoder, annotations = make_decoder(score=score, **options), make_annotations().requires_grad_()
    ours = read(decoder, annotations)
    plain()
    torch.testing.assert_close(ours, read(decoder, annotations))


def test_plain_forms_are_reached_without_a_kernel(make_decoder, make_annotations, plain, monkeypatch):
    decoder, annotations = make_decoder(), make_annotations().requires_grad_()
    plain()
    for function in (additive_scores._Scores, linear._Product):
        monkeypatch.setattr(function, "apply", None)
    read(decoder, annotations)
