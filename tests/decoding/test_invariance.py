"""What else is in a batch, and where, never changes what is made of one caption or one image.

Random models, images and captions; the reference is always the same thing computed alone, or the captions
unrolled one by one without a batch and without padding.
"""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from captioner.config.model import SoftAttentionConfig
from captioner.config.search import SearchConfig
from captioner.decoding.search import search
from captioner.model.attention import AdditiveAttention
from captioner.model.cells import CELLS
from captioner.model.decoder import Decoder
from captioner.model.rows import Captions
from captioner.training.loss import caption_loss
from captioner.vocabulary import END, START

BOUNDED = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
EXACT = {"rtol": 1e-9, "atol": 1e-11}  # float64, sums in another order
Encoded = list[list[list[int]]]  # the captions of each image


class Case:
    """A decoder in float64 and a batch for it."""

    def __init__(self, decoder: Decoder, annotations: Tensor, captions: Encoded) -> None:
        self.decoder, self.annotations, self.captions = decoder, annotations, captions

    def loss(self, images: list[int] | None = None, captions: Encoded | None = None) -> Any:
        images = list(range(len(self.annotations))) if images is None else images
        captions = [self.captions[i] for i in images] if captions is None else captions
        unrolled = self.decoder(self.annotations[images], Captions.build(captions))
        return caption_loss(self.decoder, unrolled, SoftAttentionConfig(penalty=0.7), 0.1)

    def gradients(self, loss: Any) -> list[Tensor]:
        weights = list(self.decoder.parameters())
        found = torch.autograd.grad(loss.total, weights, allow_unused=True)
        return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found)]


@st.composite
def cases(draw: st.DrawFn, captionless: bool = False) -> Case:
    """Any cell, gate and output layer, sizes from one up, captions of all lengths."""
    vocabulary, features = draw(st.integers(5, 12)), draw(st.integers(1, 5))
    embedding, hidden = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    cell = CELLS[draw(st.sampled_from(sorted(CELLS)))](embedding + features, hidden)
    attention = AdditiveAttention(features, hidden, draw(st.integers(1, 5)))
    gate, deep = draw(st.sampled_from(("none", "scalar", "vector"))), draw(st.booleans())
    decoder = Decoder(cell, attention, vocabulary, embedding, features, gate, deep, dropout=0.0)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.7, generator=generator)
    images, locations = draw(st.integers(2, 4)), draw(st.integers(1, 6))
    annotations = torch.randn(images, locations, features, dtype=torch.float64, generator=generator)
    words = st.lists(st.integers(3, vocabulary - 1), max_size=7)
    caption = words.map(lambda chosen: [*chosen, END])
    captions = draw(
        st.lists(
            st.lists(caption, min_size=0 if captionless else 1, max_size=4), min_size=images, max_size=images
        )
    )
    return Case(decoder.double(), annotations, captions)


def alone(case: Case, image: int, caption: list[int]) -> tuple[Tensor, Tensor]:
    """A caption's negative log likelihood and attention penalty, step by step with ``decoder.step``."""
    decoder = case.decoder
    memory, state = decoder.begin(case.annotations[image : image + 1])
    rows = Captions.build([[caption]]).rows(0)
    nll, coverage = torch.zeros((), dtype=torch.float64), 0.0
    for previous, word in zip([START, *caption], caption):
        step, state = decoder.step(torch.tensor([previous]), state, memory, rows)
        logits = decoder.logits(step)
        nll = nll - logits.log_softmax(-1)[0, word]
        coverage = coverage + step.alpha[0]
    return nll, (1 - coverage).square().sum()


# --- loss -----------------------------------------------------------------------------------------


@BOUNDED
@given(case=cases(captionless=True))
def test_loss_of_a_batch_is_the_sum_of_its_captions_alone(case: Case) -> None:
    each = [alone(case, i, c) for i, captions in enumerate(case.captions) for c in captions]
    if not each:
        return
    loss = case.loss()
    torch.testing.assert_close(loss.nll, torch.stack([nll for nll, _ in each]).sum(), **EXACT)
    penalty = torch.stack([penalty for _, penalty in each]).sum()
    # the loss takes penalties in float32 at least, whatever the model's precision
    torch.testing.assert_close(loss.penalty.double(), penalty, rtol=1e-5, atol=1e-6)
    assert loss.captions == len(each)
    assert loss.words == sum(len(c) for captions in case.captions for c in captions)


@BOUNDED
@given(case=cases(), data=st.data())
def test_other_captions_never_change_a_captions_nll(case: Case, data: st.DataObject) -> None:
    image = data.draw(st.integers(0, len(case.captions) - 1))
    longer = [[3] * 30 + [END]]  # a neighbour that pads everyone else
    others = [captions + longer if i != image else captions for i, captions in enumerate(case.captions)]
    total = case.loss(captions=others).nll
    rest = [captions if i != image else [] for i, captions in enumerate(others)]
    own = case.loss([image]).nll
    torch.testing.assert_close(total - case.loss(captions=rest).nll, own, rtol=1e-7, atol=1e-8)


@BOUNDED
@given(case=cases(), data=st.data())
def test_order_in_the_batch_never_changes_loss_or_gradient(case: Case, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(case.captions))))
    shuffled = [data.draw(st.permutations(case.captions[i])) for i in order]
    one, other = case.loss(), case.loss(list(order), shuffled)
    torch.testing.assert_close(one.total, other.total, rtol=1e-6, atol=1e-7)
    for a, b in zip(case.gradients(one), case.gradients(other)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@BOUNDED
@given(case=cases())
def test_gradient_of_a_batch_is_the_sum_of_its_images(case: Case) -> None:
    whole = case.gradients(case.loss())
    parts = [case.gradients(case.loss([i])) for i in range(len(case.captions))]
    for gradient, *of_images in zip(whole, *parts):
        torch.testing.assert_close(gradient, torch.stack(of_images).sum(0), rtol=1e-5, atol=1e-6)


@BOUNDED
@given(case=cases(), data=st.data())
def test_padding_is_never_read(case: Case, data: st.DataObject) -> None:
    captions = Captions.build(case.captions)
    before = case.decoder(case.annotations, captions)
    lengths = (captions.words == END).int().argmax(dim=1)
    beyond = torch.arange(captions.words.shape[1]) > lengths[:, None]
    filler = data.draw(st.integers(0, case.decoder.embedding.num_embeddings - 1))
    captions.words[beyond] = filler
    after = case.decoder(case.annotations, captions)
    for name in ("hidden", "context"):
        assert torch.equal(getattr(before.steps, name), getattr(after.steps, name)), name
    assert torch.equal(before.targets, after.targets)
    assert torch.equal(before.coverage, after.coverage)


# --- search ---------------------------------------------------------------------------------------


@BOUNDED
@given(
    case=cases(),
    strategy=st.sampled_from(("greedy", "beam")),
    beam=st.integers(1, 4),
    blocked=st.sampled_from((0, 2)),
    data=st.data(),
)
def test_order_and_company_never_change_a_search(
    case: Case, strategy: str, beam: int, blocked: int, data: st.DataObject
) -> None:
    options = SearchConfig(strategy, beam, max_length=6, block_ngrams=blocked)
    order = data.draw(st.permutations(range(len(case.annotations))))
    some = list(order)[: data.draw(st.integers(1, len(order)))]
    together = search(case.decoder, case.annotations[some], options, attention=True)
    for i, found in zip(some, together):
        (expected,) = search(case.decoder, case.annotations[i : i + 1], options, attention=True)
        assert [h.words for h in found] == [h.words for h in expected]
        for one, other in zip(found, expected):
            assert abs(one.log_prob - other.log_prob) < 1e-5
            assert one.attention is not None and other.attention is not None
            torch.testing.assert_close(one.attention, other.attention, rtol=1e-5, atol=1e-6)
