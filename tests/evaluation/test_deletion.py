"""Deletion of locations, compared with a decoder whose image never had them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from captioner.decoding.replay import attention_of
from captioner.evaluation.grounding.deletion import DRAWS, deletion_drops, summarize
from captioner.model.decoder import Decoder
from captioner.model.rows import Captions, Rows
from captioner.vocabulary import END, START

Make = Callable[..., Decoder]
Annotations = Callable[..., Tensor]

CAPTIONS = [[4, 5, 6], [7], [8, 4, 8, 5]]


def log_probs(decoder: Decoder, annotations: Tensor, kept: Tensor, words: list[int], t: int) -> Tensor:
    """Of every word at step t for one image, whose annotations that are not kept are cut out at that step."""
    rows = Rows.full(1, 1, annotations.device)
    memory, state = decoder.begin(annotations[None])
    for previous in [START, *words][:t]:
        _, state = decoder.step(torch.tensor([previous]), state, memory, rows)
    memory = decoder.attention.remember(annotations[None, kept])
    step, _ = decoder.step(torch.tensor([[START, *words][t]]), state, memory, rows)
    return decoder.logits(step).log_softmax(-1)[0]


@pytest.mark.parametrize("attention", ["soft", "hard-argmax", "hard-expectation"])
def test_deleted_locations_are_as_if_they_were_not_there(
    make_decoder: Make, make_annotations: Annotations, attention: str
) -> None:
    decoder, annotations, hidden = make_decoder(attention=attention), make_annotations(2), torch.randn(2, 4)
    deleted = torch.tensor([[True, False, False, True], [False, True, False, False]])
    rows = Rows.full(2, 1, annotations.device)
    memory = decoder.attention.remember(annotations)._replace(deleted=deleted[:, None])
    glimpse = decoder.attention(hidden.double(), memory, rows)
    for i in range(2):
        kept = ~deleted[i]
        cut = decoder.attention.remember(annotations[i, kept][None])
        expected = decoder.attention(hidden[i, None].double(), cut, Rows.full(1, 1, annotations.device))
        torch.testing.assert_close(glimpse.alpha[i, kept], expected.alpha[0])
        torch.testing.assert_close(glimpse.context[i], expected.context[0])
        assert (glimpse.alpha[i, deleted[i]] == 0).all()
    alone = decoder.attention(
        hidden[1:].double(), memory.select(torch.tensor([1])), Rows.full(1, 1, rows.owner.device)
    )
    torch.testing.assert_close(alone.alpha, glimpse.alpha[1:])


@torch.inference_mode()
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("attention", ["soft", "hard"])
def test_attended_drop_is_that_of_cutting_them_out(
    make_decoder: Make, make_annotations: Annotations, cell: str, attention: str
) -> None:
    decoder, annotations = make_decoder(cell, attention), make_annotations(3)
    drops = deletion_drops(decoder, annotations, CAPTIONS, [0, 1, 2], shares=(0.25, 0.5))
    maps = attention_of(decoder, annotations, CAPTIONS)
    everything = torch.ones(4, dtype=torch.bool)
    for i, words in enumerate(CAPTIONS):
        for s, count in enumerate((1, 2)):
            expected = 0.0
            for t, word in enumerate(words):
                kept = everything.clone()
                kept[maps[i][t].topk(count).indices] = False
                whole, cut = (
                    log_probs(decoder, annotations[i], k, words, t)[word] for k in (everything, kept)
                )
                expected += float(whole - cut)
            assert float(drops[i, s, 0]) == pytest.approx(expected, abs=1e-5)


def looks_at_one(decoder: Decoder, annotations: Tensor, location: int) -> Tensor:
    """Annotations at one location of which all the attention falls, whatever the hidden state."""
    with torch.no_grad():
        decoder.attention.hidden_map.zero_()
        decoder.attention.annotation_map.weight.zero_()
        decoder.attention.annotation_map.weight[:, 0] = 1.0
        decoder.attention.annotation_map.bias.zero_()
        decoder.attention.score.fill_(50.0)
    annotations = annotations.clone()
    annotations[:, :, 0] = -3.0
    annotations[:, location, 0] = 3.0
    return annotations


def test_a_model_that_looks_at_one_location_drops_only_there(
    make_decoder: Make, make_annotations: Annotations
) -> None:
    decoder = make_decoder()
    annotations = looks_at_one(decoder, make_annotations(1), 2).expand(40, -1, -1)
    drops = deletion_drops(decoder, annotations, [[5]] * 40, range(40), shares=(0.25,))[:, 0]
    assert drops[:, 0].abs().min() > 0.01
    hits = drops[:, 1] / drops[:, 0] * DRAWS  # how many of a word's random draws hit the location
    torch.testing.assert_close(hits, hits.round(), atol=1e-4, rtol=0)
    assert set(hits.round().int().tolist()) >= {0, 1}
    assert 0.05 < float(hits.mean()) / DRAWS < 0.5  # one of four


def test_equal_annotations_make_no_location_matter(make_decoder: Make, make_annotations: Annotations) -> None:
    annotations = make_annotations(3)[:, :1].expand(-1, 4, -1)
    drops = deletion_drops(make_decoder(), annotations, CAPTIONS, [0, 1, 2])
    torch.testing.assert_close(drops, torch.zeros_like(drops), atol=1e-5, rtol=0)


def test_only_the_seed_decides_an_images_random_locations(
    make_decoder: Make, make_annotations: Annotations
) -> None:
    decoder, annotations = make_decoder(), make_annotations(3)
    together = deletion_drops(decoder, annotations, CAPTIONS, [3, 4, 5])
    alone = [deletion_drops(decoder, annotations[i, None], CAPTIONS[i : i + 1], [3 + i]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    other = deletion_drops(decoder, annotations, CAPTIONS, [6, 7, 8])
    torch.testing.assert_close(together[:, :, 0], other[:, :, 0])
    assert not torch.equal(together[:, :, 1], other[:, :, 1])


def test_replayed_attention_is_that_of_teacher_forcing(
    make_decoder: Make, make_annotations: Annotations
) -> None:
    decoder, annotations = make_decoder(), make_annotations(3)
    captions = Captions.build([[[*words, END]] for words in CAPTIONS])
    coverage = decoder(annotations, captions).coverage  # longest caption first
    maps = attention_of(decoder, annotations, [[*words, END] for words in CAPTIONS])
    for row, owner in zip(coverage, captions.owner.tolist()):
        torch.testing.assert_close(maps[owner].sum(0), row.float())
    assert [len(m) for m in maps] == [len(words) + 1 for words in CAPTIONS]


def test_an_empty_caption_has_no_map_and_no_drop(make_decoder: Make, make_annotations: Annotations) -> None:
    decoder, annotations = make_decoder(), make_annotations(2)
    assert [m.shape for m in attention_of(decoder, annotations, [[], []])] == [(0, 4), (0, 4)]
    drops = deletion_drops(decoder, annotations, [[], [4, 5]], [0, 1])
    assert (drops[0] == 0).all() and (drops[1] != 0).any()


# --- summary --------------------------------------------------------------------------------------


def test_summary_is_a_mean_over_words() -> None:
    drops = torch.tensor([[[2.0, 1.0]], [[4.0, 0.5]]], dtype=torch.float64)  # two images, one share
    found = summarize(drops, [2, 1], shares=(0.1,))
    assert (found.attended, found.random) == ((2.0,), (0.5,))
    assert found.ratio == (4.0,)
    assert (found.images, found.words) == (2, 3)
    (interval,) = found.interval
    assert interval == pytest.approx((2.0, 8.0))  # either image alone


def test_ratio_is_not_given_where_random_deletion_costs_nothing() -> None:
    drops = torch.tensor([[[2.0, -0.1], [1.0, 0.5]]], dtype=torch.float64)
    found = summarize(drops, [2], shares=(0.1, 0.2))
    assert found.ratio == (None, 2.0)
    assert found.interval[0] is None
