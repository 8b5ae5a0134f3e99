"""The loss against arithmetic by hand, torch's cross entropy, and the exact gradient of an expectation."""

from __future__ import annotations

from math import log, nan

import pytest
import torch
from support.reading import expected_log_likelihood
from textbook import attend
from torch.nn import functional as F

from captioner.config.model import HardAttentionConfig, SoftAttentionConfig
from captioner.kernels.compiler import use_compiler
from captioner.kernels.word_loss import CHUNK, word_loss
from captioner.model.rows import Captions
from captioner.training.loss import caption_loss
from captioner.vocabulary import END

SOFT = SoftAttentionConfig(penalty=0.0)
WORD_PROBABILITIES = {END: 0.5, 4: 0.25, 5: 0.125}  # the specials share the remaining eighth


def blind(decoder):
    """Make a decoder that says words with fixed probabilities and looks everywhere alike."""
    decoder.word_output.weight.data.zero_()
    probabilities = torch.full((6,), 0.125 / 3, dtype=torch.float64)
    for word, probability in WORD_PROBABILITIES.items():
        probabilities[word] = probability
    decoder.word_output.bias.data = probabilities.log()
    decoder.attention.score.data.zero_()
    return decoder


def loss_of(decoder, annotations, texts, *options, **named):
    return caption_loss(decoder, decoder(annotations, Captions.build(texts)), *options, **named)


# --- likelihood --------------------------------------------------------------------------------------


def test_nll_is_summed_over_words_end_and_captions(make_decoder, make_annotations):
    decoder = blind(make_decoder(vocabulary=6))
    loss = loss_of(decoder, make_annotations(images=2), [[[4, 5, END]], [[END], [4, END]]], SOFT)
    wanted = -log(0.25 * 0.125 * 0.5) - log(0.5) - log(0.25 * 0.5)
    assert loss.nll.item() == pytest.approx(wanted, rel=1e-6)
    assert loss.total.item() == pytest.approx(wanted, rel=1e-6)
    assert (loss.words, loss.captions) == (6, 3)


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("words", [1, CHUNK, CHUNK + 1])
def test_word_loss_is_torchs(compile, words):
    use_compiler(compile)
    operands = torch.randn(words, 8), torch.randn(30, 8), torch.randn(30)
    given = [x.requires_grad_() for x in operands]
    targets = torch.randint(30, (words,))
    ours, nll = word_loss(*given, targets, 0.1)
    logits = F.linear(*given)
    wanted = F.cross_entropy(logits, targets, label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(nll, F.cross_entropy(logits, targets, reduction="none"))
    torch.testing.assert_close(ours, wanted)
    gradients = [torch.autograd.grad(loss, given, retain_graph=True) for loss in (ours, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_penalty_asks_for_a_coverage_of_one_everywhere(make_decoder, make_annotations, weight):
    """Four locations, each looked at for T / 4 steps: 4 (1 - T / 4)^2 a caption."""
    decoder = blind(make_decoder(vocabulary=6))
    config = SoftAttentionConfig(penalty=weight)
    loss = loss_of(
        decoder, make_annotations(images=2), [[[4, 5, END]], [[4, END], [4, 4, 4, 4, 4, END]]], config
    )
    penalty = 4 * (1 - 3 / 4) ** 2 + 4 * (1 - 2 / 4) ** 2 + 4 * (1 - 6 / 4) ** 2
    assert loss.penalty.item() == pytest.approx(penalty, rel=1e-6)
    assert (loss.total - loss.nll).item() == pytest.approx(weight * penalty, rel=1e-5, abs=1e-5)


def test_label_smoothing_equals_torchs(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations(images=1)
    unrolled = decoder(annotations, Captions.build([[[4, 7, END], [5, END]]]))
    logits = decoder.logits(unrolled.steps)
    loss = caption_loss(decoder, unrolled, SOFT, label_smoothing=0.3)
    wanted = F.cross_entropy(logits, unrolled.targets, reduction="sum", label_smoothing=0.3)
    torch.testing.assert_close(loss.total, wanted)


def test_reported_nll_is_without_label_smoothing(make_decoder, make_annotations):
    decoder = blind(make_decoder(vocabulary=6))
    loss = loss_of(decoder, make_annotations(images=1), [[[4, END]]], SOFT, label_smoothing=0.3)
    assert loss.nll.item() == pytest.approx(-log(0.25 * 0.5), rel=1e-6)


# --- REINFORCE ---------------------------------------------------------------------------------------


def hard(**options):
    return HardAttentionConfig(**{"penalty": 0.0, "reinforce_weight": 1.0, "entropy_weight": 0.0, **options})


@pytest.mark.parametrize("baseline", [-6.0, -4.0])
def test_reinforce_gradient_is_that_of_the_expected_log_likelihood(make_decoder, make_annotations, baseline):
    samples, text = 20000, [4, END]
    decoder = make_decoder("vanilla", "hard", vocabulary=6, gate="none")
    decoder.context_output.weight.data *= 4  # so that it matters where the model looks
    annotations = make_annotations(images=1, locations=2)
    parameters = dict(decoder.named_parameters())
    exact = torch.autograd.grad(-expected_log_likelihood(decoder, annotations[0], text), parameters.values())
    decoder.attention.look.expectation_probability = 0.0
    decoder.train()
    config = hard(baseline_decay=1.0)  # a baseline that does not move leaves the gradient unbiased
    loss = loss_of(decoder, annotations, [[text] * samples], config, baseline=torch.tensor(baseline))
    found = torch.autograd.grad(loss.total / samples, parameters.values())
    for name, ours, wanted in zip(parameters, found, exact):
        assert (ours - wanted).norm() < 0.05 * wanted.norm() + 0.01, name
    look = list(parameters).index("attention.score")
    assert exact[look].norm() > 0.1  # only the score function reaches it, so this tests it


def test_expectation_alone_gives_soft_attentions_gradient(make_decoder, make_annotations):
    decoder, annotations = make_decoder(attention="hard-expectation"), make_annotations(images=1)
    parameters = list(decoder.parameters())
    wanted = torch.autograd.grad(loss_of(decoder, annotations, [[[4, 5, END]]], SOFT).total, parameters)
    decoder.attention.look.expectation_probability = 1.0
    decoder.train()
    loss = loss_of(decoder, annotations, [[[4, 5, END]]], hard(), baseline=torch.tensor(nan))
    torch.testing.assert_close(torch.autograd.grad(loss.total, parameters), wanted, rtol=1e-5, atol=1e-6)


def test_entropy_of_every_step_is_rewarded(make_decoder, make_annotations):
    """Looking everywhere alike has an entropy of log 4 a step."""
    decoder = blind(make_decoder(attention="hard", vocabulary=6)).train()
    unrolled = decoder(make_annotations(images=1), Captions.build([[[4, END], [END]]]))
    with_bonus, without = (
        caption_loss(decoder, unrolled, hard(entropy_weight=w), baseline=torch.tensor(0.0)).total
        for w in (0.5, 0.0)
    )
    assert (with_bonus - without).item() == pytest.approx(-0.5 * 3 * log(4), rel=1e-5)


def test_baseline_is_the_moving_average_of_a_captions_log_likelihood(make_decoder, make_annotations):
    decoder = blind(make_decoder(attention="hard", vocabulary=6)).train()
    annotations, baseline = make_annotations(images=1), torch.tensor(nan)
    loss_of(decoder, annotations, [[[END], [4, END]]], hard(), baseline=baseline)
    first = (log(0.5) + log(0.25 * 0.5)) / 2
    assert baseline.item() == pytest.approx(first, rel=1e-6)
    loss_of(decoder, annotations, [[[5, END]]], hard(), baseline=baseline)
    assert baseline.item() == pytest.approx(0.9 * first + 0.1 * log(0.125 * 0.5), rel=1e-6)


def test_no_reinforcement_outside_training(make_decoder, make_annotations):
    decoder = make_decoder(attention="hard")
    loss = loss_of(decoder, make_annotations(images=1), [[[4, END]]], hard(entropy_weight=1.0))
    assert loss.total.item() == pytest.approx(loss.nll.item())


def test_uniform_attention_is_what_the_hand_made_decoder_has(make_decoder, make_annotations):
    decoder = blind(make_decoder(vocabulary=6))
    hidden = torch.randn(1, 4, dtype=torch.float64)
    alpha = attend(decoder.attention, make_annotations(images=1), hidden)
    assert alpha.tolist() == [[0.25] * 4]
