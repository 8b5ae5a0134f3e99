"""Tiny models, the same for all tests; nothing here needs a compiler, a network or a GPU."""

from __future__ import annotations

import pytest
import torch

from captioner.kernels.compiler import use_compiler
from captioner.model.attention import AdditiveAttention, MultiplicativeAttention
from captioner.model.cells import CELLS
from captioner.model.decoder import Decoder
from captioner.model.look import HardLook, SoftLook
from captioner.model.lstm_variants import VARIANTS
from captioner.model.normalization import build_normalize
from captioner.model.normalized_cells import LayerNormGRUCell, LayerNormLSTMCell

FEATURES, LOCATIONS = 5, 4

torch.set_num_threads(1)  # tiny tensors gain nothing from more, and runs side by side would fight


@pytest.fixture(autouse=True)
def reproducible():
    torch.manual_seed(0)
    use_compiler(False)


@pytest.fixture
def make_cell():
    """A cell by its name, with ``-after`` for a GRU that resets after the product and ``-norm`` for layer
    normalization. No weight is zero."""

    def make(name, inputs=3, hidden=4, dtype=torch.float64):
        name, *options = name.split("-")
        kinds = {**CELLS, **VARIANTS}
        if "norm" in options:
            kinds = {"lstm": LayerNormLSTMCell, "gru": LayerNormGRUCell}
        cell = kinds[name](inputs, hidden, **({"reset_after": True} if "after" in options else {}))
        return _noisy(cell, 0.5).to(dtype)

    return make


@pytest.fixture
def make_decoder(make_cell):
    """A decoder without dropout in eval mode; ``spread`` is the standard deviation of its weights."""

    def make(
        cell="lstm",
        attention="soft",
        vocabulary=9,
        spread=0.7,
        dtype=torch.float64,
        score="additive",
        sees_word=False,
        normalize="softmax",
        after_step=False,
        sentinel=False,
        local=0,
        **options,
    ):
        embedding, hidden, size = 3, 4, 6
        options = {"dropout": 0.0, **({"gate": "none"} if sentinel else {}), **options}
        kind, _, inference = attention.partition("-")
        look = SoftLook() if kind == "soft" else HardLook(inference or "argmax")
        query = hidden + embedding * sees_word
        if score == "additive":
            attend = AdditiveAttention(local or FEATURES, query, size, look)
        else:
            attend = MultiplicativeAttention(local or FEATURES, query, look)
        attend.local = local
        attend.sees_word, attend.after_step = sees_word, after_step or sentinel
        attend.sentinel = sentinel
        attend.normalize = build_normalize(normalize)
        rnn = make_cell(cell, embedding + FEATURES, hidden)
        decoder = Decoder(rnn, attend, vocabulary, embedding, FEATURES, **options)
        return _noisy(decoder, spread).to(dtype).eval()

    return make


@pytest.fixture
def make_annotations():
    def make(images=3, locations=LOCATIONS, dtype=torch.float64):
        return torch.randn(images, locations, FEATURES, dtype=dtype)

    return make


def _noisy(module, spread):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return module
