"""Sparse attention against the papers' definitions, tried one row and one support at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import textbook_sparse
import torch
from torch import Tensor

from captioner.config.model import SoftAttentionConfig
from captioner.decoding.replay import attention_of
from captioner.errors import CaptionerError
from captioner.evaluation.grounding.deletion import deletion_drops
from captioner.evaluation.grounding.measures import normalized_entropy
from captioner.evaluation.grounding.mosaics import quadrants
from captioner.model.attention import build_attention
from captioner.model.decoder import Decoder
from captioner.model.normalization import build_normalize
from captioner.model.rows import Captions
from captioner.training.loss import caption_loss, guided
from captioner.vocabulary import END

Make = Callable[..., Decoder]
Annotations = Callable[..., Tensor]
SPARSE = ("sparsemax", "entmax15")
NAMES = ("softmax", *SPARSE)

pytest.importorskip("entmax", reason="entmax is missing: pip install 'captioner[entmax]'")


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_their_gradients_are_the_papers(name: str) -> None:
    scores = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
    mixed = torch.linspace(0, 9, 54, dtype=torch.float64).sin().view(6, 9)
    ours, theirs = build_normalize(name)(scores), textbook_sparse.weights(name, scores)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours.sum(-1), torch.ones(6, dtype=torch.float64))
    assert bool((ours == 0).any()) == (name in SPARSE)
    gradients = [torch.autograd.grad((alpha * mixed).sum(), scores)[0] for alpha in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", SPARSE)
def test_locations_out_of_reach_are_as_if_they_were_not_there(name: str) -> None:
    scores, gone = torch.randn(8, dtype=torch.float64), torch.arange(8) % 3 == 0
    alpha = build_normalize(name)(scores.masked_fill(gone, float("-inf")))
    torch.testing.assert_close(alpha[~gone], textbook_sparse.weights(name, scores[None, ~gone])[0])
    assert (alpha[gone] == 0).all()


@pytest.mark.parametrize("name", SPARSE)
def test_everything_is_measured_where_maps_have_zeros(
    make_decoder: Make, make_annotations: Annotations, name: str
) -> None:
    decoder, annotations = make_decoder(normalize=name, spread=2.0), make_annotations(3)
    captions = [[4, 5, 6], [7], [8, 4, 8, 5]]
    maps = torch.cat(attention_of(decoder, annotations, captions))
    assert (maps == 0).any()
    assert normalized_entropy(maps).isfinite().all()
    assert deletion_drops(decoder, annotations, captions, range(3)).isfinite().all()


@pytest.mark.parametrize("attention", ["soft", "hard"])
@pytest.mark.parametrize("name", SPARSE)
def test_guidance_reaches_a_quadrant_without_any_attention(
    make_decoder: Make, make_annotations: Annotations, name: str, attention: str
) -> None:
    """-log of the softmax's mass, as that of the sparse map would be -log 0, without a gradient."""
    decoder = make_decoder(attention=attention, normalize=name, spread=2.0).train()
    captions = Captions.build([[[4, 5, END]]], [[2]])
    unrolled = decoder(make_annotations(1), captions)
    own = quadrants((2, 2))[2]
    assert (unrolled.steps.alpha @ own).min() == 0 and unrolled.steps.dense_alpha is not None
    plain = caption_loss(decoder, unrolled, SoftAttentionConfig())
    loss = guided(plain, unrolled, 0.5).total - plain.total
    torch.testing.assert_close(loss, -0.5 * (unrolled.steps.dense_alpha @ own).log().sum())
    (gradient,) = torch.autograd.grad(loss, decoder.attention.score, retain_graph=True)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    for parameter, each in zip(
        decoder.parameters(),
        torch.autograd.grad(plain.total + loss, list(decoder.parameters()), allow_unused=True),
    ):
        assert each is None or each.isfinite().all(), parameter.shape


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "entmax", None)
    with pytest.raises(CaptionerError, match=r"attention\.normalize=sparsemax: needs pip install 'captioner"):
        build_attention(SoftAttentionConfig(normalize="sparsemax"), 5, 4)
    build_attention(SoftAttentionConfig(), 5, 4)
