"""Attention against the plain formula v . tanh(k + q) and autograd."""

from __future__ import annotations

import pytest
import textbook
import torch

from captioner.config.model import HardAttentionConfig, SoftAttentionConfig
from captioner.errors import CaptionerError
from captioner.kernels.additive_scores import PIECE, AdditiveKeys
from captioner.kernels.compiler import use_compiler
from captioner.model.attention import AdditiveAttention, MultiplicativeAttention, build_attention
from captioner.model.look import HardLook
from captioner.model.rows import Rows

FEATURES, HIDDEN, SIZE, LOCATIONS = 5, 4, 6, 7
CPU = torch.device("cpu")


def plain_scores(keys, queries, score):
    return torch.tanh(keys[:, None] + queries[:, :, None]) @ score


def our_scores(keys, queries, score):
    return AdditiveKeys.of(keys)(queries, score)


def centred(scores):
    return scores - scores.mean(dim=-1, keepdim=True)


def operands(key_scale=1.0, query_scale=1.0, dtype=torch.float64):
    keys = key_scale * torch.randn(2, LOCATIONS, SIZE, dtype=dtype)
    queries = query_scale * torch.randn(2, 3, SIZE, dtype=dtype)
    return [part.requires_grad_() for part in (keys, queries, torch.randn(SIZE, dtype=dtype))]


def gradients(scores, tensors):
    """Through a softmax, which takes off the constant that the scores leave out."""
    weights = torch.linspace(-1, 2, scores.numel(), dtype=scores.dtype).view_as(scores).sin()
    return torch.autograd.grad((scores.softmax(-1) * weights).sum(), tensors)


def make(look=None, dtype=torch.float64):
    attention = AdditiveAttention(FEATURES, HIDDEN, SIZE, look)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention.to(dtype).eval()


def one_image(rows):
    """An image whose annotations are unit vectors, so that a context tells what was looked at."""
    hidden = torch.randn(1, HIDDEN, dtype=torch.float64).expand(rows, HIDDEN)
    return torch.eye(FEATURES, dtype=torch.float64)[None], hidden, Rows.full(1, rows, CPU)


def alpha_of_first(attention, annotations, hidden):
    """The textbook's alpha of the first row."""
    return textbook.attend(attention, annotations, hidden[:1])[0]


# --- scores ------------------------------------------------------------------------------------------

SCALES = [(1, 1), (100, 1), (1, 100)]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_are_the_plain_formula_up_to_a_constant(scales, dtype):
    tensors = operands(*scales, dtype)
    torch.testing.assert_close(centred(our_scores(*tensors)), centred(plain_scores(*tensors)))


@pytest.mark.parametrize("piece", [1, PIECE], ids=["image by image", "all images"])
@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_score_gradients_are_those_of_the_plain_formula(scales, dtype, piece, monkeypatch):
    monkeypatch.setattr("captioner.kernels.additive_scores.PIECE", piece)
    tensors = operands(*scales, dtype)
    ours = gradients(our_scores(*tensors), tensors)
    torch.testing.assert_close(ours, gradients(plain_scores(*tensors), tensors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_and_gradients_stay_finite_where_keys_and_queries_are_extreme(dtype):
    tensors = operands(1000, 1000, dtype)
    scores = our_scores(*tensors)
    assert all(part.isfinite().all() for part in (scores, *gradients(scores, tensors)))


def test_half_precision_is_scored_in_single():
    keys, queries, score = (part.detach() for part in operands(3, 3, torch.float32))
    halves = [part.bfloat16() for part in (keys, queries, score)]
    wanted = plain_scores(*(part.float() for part in halves))
    torch.testing.assert_close(centred(our_scores(*halves)), centred(wanted))


def test_autocast_leaves_the_scores_in_single():
    tensors = operands(3, 3, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        scores = our_scores(*tensors)
    assert torch.equal(scores, our_scores(*tensors))


def test_steps_that_score_the_same_keys_share_their_gradient():
    keys, queries, score = operands()

    def two_steps(scores):
        looked = scores(keys, queries, score).softmax(-1) @ keys
        return scores(keys, looked, score)

    remembered = AdditiveKeys.of(keys)
    ours = two_steps(lambda _, q, v: remembered(q, v))
    wanted = gradients(two_steps(plain_scores), (keys, queries, score))
    torch.testing.assert_close(gradients(ours, (keys, queries, score)), wanted)


@pytest.mark.slow
def test_compiled_kernels_equal_eager_ones():
    tensors = operands(dtype=torch.float32)
    eager = our_scores(*tensors)
    wanted = gradients(eager, tensors)
    use_compiler(True)
    compiled = our_scores(*tensors)
    torch.testing.assert_close(compiled, eager)
    torch.testing.assert_close(gradients(compiled, tensors), wanted)


# --- multiplicative attention ----------------------------------------------------------------------


def test_multiplicative_alpha_is_that_of_luong_et_al():
    """Their general form, h W a, over the root of the width, a location at a time."""
    attention = MultiplicativeAttention(FEATURES, HIDDEN).double()
    annotations = torch.randn(2, LOCATIONS, FEATURES, dtype=torch.float64)
    hidden = torch.randn(6, HIDDEN, dtype=torch.float64)
    alpha = attention(hidden, attention.remember(annotations), Rows.full(2, 3, CPU)).alpha
    weight = attention.annotation_map.weight
    for row, h in enumerate(hidden):
        scores = [h @ (weight @ a) / HIDDEN**0.5 for a in annotations[row // 3]]
        torch.testing.assert_close(alpha[row], torch.stack(scores).softmax(0))


# --- soft attention ----------------------------------------------------------------------------------


def test_alpha_is_the_softmax_of_the_plain_scores():
    attention, (annotations, hidden, rows) = make(), one_image(1)
    glimpse = attention(hidden, attention.remember(annotations), rows)
    torch.testing.assert_close(glimpse.alpha[0], alpha_of_first(attention, annotations, hidden))


def test_alpha_sums_to_one():
    attention = make()
    memory = attention.remember(torch.randn(2, LOCATIONS, FEATURES, dtype=torch.float64))
    alpha = attention(torch.randn(6, HIDDEN, dtype=torch.float64), memory, Rows.full(2, 3, CPU)).alpha
    torch.testing.assert_close(alpha.sum(-1), torch.ones(6, dtype=torch.float64))


def test_context_is_the_expected_annotation():
    attention, (annotations, hidden, rows) = make(), one_image(1)
    glimpse = attention(hidden, attention.remember(annotations), rows)
    torch.testing.assert_close(glimpse.context, glimpse.alpha)  # annotations are unit vectors


def test_alpha_changes_with_the_hidden_state():
    attention = make()
    memory = attention.remember(torch.randn(1, LOCATIONS, FEATURES, dtype=torch.float64))
    one, other = attention(torch.randn(2, HIDDEN, dtype=torch.float64), memory, Rows.full(1, 2, CPU)).alpha
    assert (one - other).abs().max() > 0.01


@pytest.mark.parametrize("look", [None, HardLook()], ids=["soft", "hard"])
def test_rows_with_gaps_look_as_each_would_alone(look):
    attention = make(look)
    annotations = torch.randn(4, LOCATIONS, FEATURES, dtype=torch.float64)
    owner, rank = torch.tensor([3, 0, 3, 1, 3]), torch.tensor([0, 0, 1, 0, 2])
    hidden = torch.randn(5, HIDDEN, dtype=torch.float64)
    rows = Rows.of(owner, rank, images=4, width=3)
    together = attention(hidden, attention.remember(annotations), rows)
    for k, image in enumerate(owner):
        memory = attention.remember(annotations[image][None])
        alone = attention(hidden[k][None], memory, Rows.full(1, 1, CPU))
        torch.testing.assert_close(together.alpha[k], alone.alpha[0])
        torch.testing.assert_close(together.context[k], alone.context[0])


def test_selected_images_are_remembered_as_they_were():
    attention = make()
    annotations = torch.randn(3, LOCATIONS, FEATURES, dtype=torch.float64)
    hidden = torch.randn(2, HIDDEN, dtype=torch.float64)
    chosen = torch.tensor([2, 0])
    ours = attention(hidden, attention.remember(annotations).select(chosen), Rows.full(2, 1, CPU))
    fresh = attention(hidden, attention.remember(annotations[chosen]), Rows.full(2, 1, CPU))
    torch.testing.assert_close(ours.context, fresh.context)


# --- hard attention ----------------------------------------------------------------------------------


def test_argmax_looks_at_the_most_likely_location():
    attention, (annotations, hidden, rows) = make(HardLook("argmax")), one_image(1)
    alpha = alpha_of_first(attention, annotations, hidden)
    context = attention(hidden, attention.remember(annotations), rows).context
    assert context[0].argmax() == alpha.argmax()
    assert sorted(context[0].tolist()) == [0, 0, 0, 0, 1]


def test_expectation_is_soft_attentions_context():
    attention, (annotations, hidden, rows) = make(HardLook("expectation")), one_image(1)
    context = attention(hidden, attention.remember(annotations), rows).context
    torch.testing.assert_close(context[0], alpha_of_first(attention, annotations, hidden))


def test_samples_follow_alpha():
    count = 20000
    attention, (annotations, hidden, rows) = make(HardLook("sample")), one_image(count)
    alpha = alpha_of_first(attention, annotations, hidden)
    frequency = attention(hidden, attention.remember(annotations), rows).context.mean(0)
    error = (alpha * (1 - alpha) / count).sqrt()
    assert ((frequency - alpha).abs() < 4 * error).all()


def test_training_draws_one_location_a_row():
    attention, (annotations, hidden, rows) = make(HardLook("argmax", 0.0)).train(), one_image(200)
    context = attention(hidden, attention.remember(annotations), rows).context
    assert (context.max(-1).values == 1).all()
    assert (context.sum(-1) == 1).all()
    assert len(context.argmax(-1).unique()) > 1


def test_training_takes_the_expectation_as_often_as_asked():
    attention = make(HardLook("argmax", 0.25)).train()
    memory = attention.remember(torch.randn(4000, 2, FEATURES, dtype=torch.float64))
    share = memory.expected.double().mean().item()
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5


def test_an_image_in_expectation_sees_the_expected_annotation():
    attention, (annotations, hidden, rows) = make(HardLook("argmax", 1.0)).train(), one_image(2)
    glimpse = attention(hidden, attention.remember(annotations), rows)
    torch.testing.assert_close(glimpse.context[0], alpha_of_first(attention, annotations, hidden))
    assert glimpse.log_prob_drawn.tolist() == [0, 0]


def test_log_prob_drawn_is_that_of_the_drawn_location():
    attention, (annotations, hidden, rows) = make(HardLook("argmax", 0.0)).train(), one_image(50)
    glimpse = attention(hidden, attention.remember(annotations), rows)
    log_alpha = alpha_of_first(attention, annotations, hidden).log()
    wanted = log_alpha[glimpse.context.argmax(-1)]
    torch.testing.assert_close(glimpse.log_prob_drawn, wanted, check_dtype=False, rtol=1e-5, atol=1e-5)


def test_entropy_is_that_of_alpha():
    attention, (annotations, hidden, rows) = make(HardLook("argmax", 0.5)).train(), one_image(1)
    entropy = attention(hidden, attention.remember(annotations), rows).entropy
    wanted = torch.distributions.Categorical(alpha_of_first(attention, annotations, hidden)).entropy()
    torch.testing.assert_close(entropy[0], wanted, check_dtype=False, rtol=1e-5, atol=1e-5)


def test_nothing_is_drawn_outside_training():
    attention, (annotations, hidden, rows) = make(HardLook()), one_image(1)
    glimpse = attention(hidden, attention.remember(annotations), rows)
    assert glimpse.log_prob_drawn is None and glimpse.entropy is None


# --- by configuration --------------------------------------------------------------------------------


def test_configuration_reaches_hard_attention():
    config = HardAttentionConfig(size=SIZE, inference="sample", expectation_probability=0.3, soft_start=0.2)
    look = build_attention(config, FEATURES, HIDDEN).look
    assert (look.inference, look.expectation_probability, look.soft_start) == ("sample", 0.3, 0.2)
    assert look.draws


@pytest.mark.parametrize("config", [SoftAttentionConfig, HardAttentionConfig])
def test_configuration_chooses_the_score_of_either_look(config):
    attention = build_attention(config(score="multiplicative"), FEATURES, HIDDEN)
    assert isinstance(attention, MultiplicativeAttention)
    assert attention.look.inference == getattr(config(), "inference", None)


def test_unknown_score_is_refused_with_the_choices():
    with pytest.raises(CaptionerError, match=r"attention\.score: 'aditive' is not one of additive, mult"):
        build_attention(SoftAttentionConfig(score="aditive"), FEATURES, HIDDEN)


def test_unknown_inference_is_refused_with_the_choices():
    with pytest.raises(CaptionerError, match=r"attention\.inference: 'mean' is not one of argmax"):
        HardLook("mean")
