"""Search against loops and exhaustive enumeration over the ``textbook`` decoder."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from support.reading import read

from captioner.config.search import SearchConfig
from captioner.decoding.search import _top, search
from captioner.errors import CaptionerError
from captioner.vocabulary import END, PAD, START, UNKNOWN

STRATEGIES = ["greedy", "beam", "sample"]


@torch.no_grad()
def next_log_probs(decoder, annotations, words, allow_unknown=False):
    """Of every word after ``words``: no special word, and no end before the first word."""
    log_probs = read(decoder, annotations, [*words, PAD]).logits[-1].log_softmax(0)
    forbidden = [PAD, START] + [UNKNOWN] * (not allow_unknown) + [END] * (not words)
    log_probs[forbidden] = float("-inf")
    return log_probs


def greedy_loop(decoder, annotations, max_length):
    words, log_probs = [], []
    while len(words) < max_length:
        best = next_log_probs(decoder, annotations, words).max(0)
        log_probs.append(best.values.item())
        if best.indices == END:
            break
        words.append(best.indices.item())
    return words, log_probs


def exhaustive(decoder, annotations, vocabulary, max_length, normalization):
    """Score of every caption that can be finished within ``max_length`` steps, the end being one."""
    scores = {}
    for length in range(1, max_length):
        for words in product(range(UNKNOWN + 1, vocabulary), repeat=length):
            path = [*words, END]
            total = sum(
                next_log_probs(decoder, annotations, words[:t])[word].item() for t, word in enumerate(path)
            )
            scores[words] = total / len(path) ** normalization
    return scores


def ngrams(words, size):
    return list(zip(*(words[k:] for k in range(size))))


def words_of(found):
    return [[h.words for h in hypotheses] for hypotheses in found]


# --- greedy and beam ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["soft", "hard-argmax"])
def test_greedy_equals_a_loop(make_decoder, make_annotations, attention):
    decoder, annotations = make_decoder("lstm", attention), make_annotations(images=8)
    found = search(decoder, annotations, SearchConfig("greedy", max_length=6))
    for image, (hypothesis,) in zip(annotations, found):
        words, log_probs = greedy_loop(decoder, image, 6)
        assert list(hypothesis.words) == words
        assert hypothesis.word_log_probs == pytest.approx(log_probs, abs=1e-5)
        assert hypothesis.finished == (len(log_probs) > len(words))


def test_beam_of_one_is_greedy(make_decoder, make_annotations):
    decoder, annotations = make_decoder("gru"), make_annotations(images=8)
    greedy = search(decoder, annotations, SearchConfig("greedy", max_length=6))
    beam = search(decoder, annotations, SearchConfig("beam", beam_size=1, max_length=6))
    assert words_of(beam) == words_of(greedy)


@pytest.mark.parametrize("normalization", [0.0, 0.7, 2.0])
@pytest.mark.parametrize(
    ("cell", "kind"),
    [("lstm", {}), ("gru", {}), ("lstm", {"after_step": True}), ("lstm", {"sentinel": True})],
)
def test_full_beam_finds_every_caption_in_the_order_of_its_score(
    make_decoder, make_annotations, cell, kind, normalization
):
    decoder, annotations = make_decoder(cell, vocabulary=6, **kind), make_annotations(images=2)
    options = SearchConfig("beam", beam_size=40, max_length=4, length_normalization=normalization)
    for image, hypotheses in zip(annotations, search(decoder, annotations, options)):
        wanted = exhaustive(decoder, image, 6, 4, normalization)
        found = {h.words: h.score for h in hypotheses if h.finished}
        assert found == pytest.approx(wanted, abs=1e-5)
        assert list(found) == sorted(wanted, key=wanted.get, reverse=True)


def test_wider_beam_never_leaves_more_captions_than_its_size(make_decoder, make_annotations):
    found = search(
        make_decoder(), make_annotations(images=4), SearchConfig("beam", beam_size=3, max_length=5)
    )
    assert all(1 <= len(hypotheses) <= 3 for hypotheses in found)


def test_beam_goes_on_with_the_best_prefixes(make_decoder, make_annotations):
    """Pruning by the total log probability, with one place less for every finished caption."""
    decoder, (image,) = make_decoder(vocabulary=7), make_annotations(images=1)
    live, done = {(): 0.0}, {}
    for _ in range(5):
        extended = {
            (*words, word): total + log_prob
            for words, total in live.items()
            for word, log_prob in enumerate(next_log_probs(decoder, image, words).tolist())
        }
        best = sorted(extended, key=extended.get, reverse=True)[: 3 - len(done)]
        done |= {words[:-1]: extended[words] for words in best if words[-1] == END}
        live = {words: extended[words] for words in best if words[-1] != END}
    options = SearchConfig("beam", beam_size=3, max_length=5, length_normalization=0.0)
    (found,) = search(decoder, image[None], options)
    assert {h.words: h.finished for h in found} == {**dict.fromkeys(live, False), **dict.fromkeys(done, True)}
    assert {h.words: h.log_prob for h in found} == pytest.approx({**live, **done}, abs=1e-5)


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_a_batch_of_many_equals_one_by_one(make_decoder, make_annotations, strategy):
    decoder, annotations = make_decoder(spread=1.5), 2 * make_annotations(images=12)
    decoder.word_output.bias.data[END] += 2
    options = SearchConfig(strategy, max_length=8)
    together = search(decoder, annotations, options, attention=True)
    assert len({len(hypotheses[0].words) for hypotheses in together}) > 2  # images leave at different steps
    for image, hypotheses in zip(annotations, together):
        (alone,) = search(decoder, image[None], options, attention=True)
        assert words_of([hypotheses]) == words_of([alone])
        for one, other in zip(hypotheses, alone):
            torch.testing.assert_close(one.attention, other.attention)
            assert one.score == pytest.approx(other.score, abs=1e-5)


# --- what may be said --------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_is_repeated_when_blocked(make_decoder, make_annotations, strategy, size):
    decoder, annotations = make_decoder(), make_annotations()
    decoder.word_output.bias.data[END] = -20
    decoder.word_output.bias.data[7] = 20
    options = SearchConfig(strategy, max_length=5)
    free = search(decoder, annotations, options)[0][0].words
    assert len(set(ngrams(free, size))) < len(ngrams(free, size))  # it would repeat
    options.block_ngrams = size
    for hypotheses in search(decoder, annotations, options):
        for hypothesis in hypotheses:
            grams = ngrams(hypothesis.words, size)
            assert len(set(grams)) == len(grams)


def test_a_caption_ends_when_every_word_is_blocked(make_decoder, make_annotations):
    decoder = make_decoder(vocabulary=6)
    decoder.word_output.bias.data[END] = -1e4
    ((found,),) = search(
        decoder, make_annotations(images=1), SearchConfig("greedy", max_length=9, block_ngrams=1)
    )
    assert sorted(found.words) == [4, 5]
    assert found.finished


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_unknown_is_said_only_where_allowed(make_decoder, make_annotations, strategy):
    decoder, annotations = make_decoder(), make_annotations(images=1)
    decoder.word_output.bias.data[UNKNOWN] = 50
    options = SearchConfig(strategy, max_length=3)
    assert UNKNOWN not in search(decoder, annotations, options)[0][0].words
    options.allow_unknown = True
    assert search(decoder, annotations, options)[0][0].words == (UNKNOWN,) * 3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_padding_and_start_are_never_said(make_decoder, make_annotations, strategy):
    decoder = make_decoder()
    decoder.word_output.bias.data[[PAD, START]] = 50
    (hypotheses,) = search(decoder, make_annotations(images=1), SearchConfig(strategy, max_length=4))
    assert not {PAD, START} & set(hypotheses[0].words)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_that_never_ends_gives_unfinished_captions(make_decoder, make_annotations, strategy):
    decoder = make_decoder()
    decoder.word_output.bias.data[END] = -1e4
    for hypotheses in search(decoder, make_annotations(), SearchConfig(strategy, max_length=4)):
        assert len(hypotheses[0].words) == 4
        assert not hypotheses[0].finished


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_that_ends_at_once_still_says_a_word(make_decoder, make_annotations, strategy):
    decoder = make_decoder()
    decoder.word_output.bias.data[END] = 1e4
    for hypotheses in search(decoder, make_annotations(), SearchConfig(strategy, max_length=4)):
        assert len(hypotheses[0].words) == 1
        assert hypotheses[0].finished


# --- sampling ----------------------------------------------------------------------------------------


def first_words(decoder, image, **options):
    """How often each word is the first of 8000 samples."""
    options = SearchConfig("sample", max_length=1, **options)
    (hypotheses,) = search(decoder, image[None], options, copies=8000)
    counts = Counter(h.words[0] for h in hypotheses)
    return torch.tensor([counts[word] / 8000 for word in range(9)], dtype=torch.float64)


def assert_frequencies(found, wanted):
    error = (wanted * (1 - wanted) / 8000).sqrt()
    assert ((found - wanted).abs() <= 4 * error).all(), (found, wanted)


def test_sampling_the_top_word_is_greedy(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations(images=6)
    sampled = search(decoder, annotations, SearchConfig("sample", top_k=1, max_length=6))
    greedy = search(decoder, annotations, SearchConfig("greedy", max_length=6))
    assert words_of(sampled) == words_of(greedy)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_follow_the_tempered_softmax(make_decoder, make_annotations, temperature):
    decoder, (image,) = make_decoder(), make_annotations(images=1)
    wanted = (next_log_probs(decoder, image, []) / temperature).softmax(0)
    assert_frequencies(first_words(decoder, image, temperature=temperature), wanted)


def test_top_k_keeps_the_k_most_likely_words(make_decoder, make_annotations):
    decoder, (image,) = make_decoder(), make_annotations(images=1)
    probs = next_log_probs(decoder, image, []).exp()
    third = sorted(probs.tolist())[-3]
    wanted = torch.where(probs >= third, probs, 0)
    assert_frequencies(first_words(decoder, image, top_k=3), wanted / wanted.sum())


@pytest.mark.parametrize("top_p", [0.0, 0.4, 0.7, 0.9])
def test_top_p_keeps_the_fewest_words_that_hold_that_probability(make_decoder, make_annotations, top_p):
    decoder, (image,) = make_decoder(), make_annotations(images=1)
    probs = next_log_probs(decoder, image, []).softmax(0).tolist()
    nucleus, mass = [], 0.0
    for word in sorted(range(9), key=lambda w: -probs[w]):
        nucleus.append(word)
        mass += probs[word]
        if mass >= top_p:
            break
    wanted = torch.tensor([probs[w] / mass if w in nucleus else 0.0 for w in range(9)]).double()
    assert_frequencies(first_words(decoder, image, top_p=top_p), wanted)


def test_the_same_seed_draws_the_same_captions(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations()

    def draw(seed):
        return words_of(
            search(decoder, annotations, SearchConfig("sample", seed=seed, max_length=8), copies=5)
        )

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_the_same_seed_draws_the_same_locations(make_decoder, make_annotations):
    decoder, annotations = make_decoder(attention="hard-sample", spread=2.0), make_annotations(images=10)
    options = SearchConfig("sample", seed=3, max_length=8)
    assert words_of(search(decoder, annotations, options)) == words_of(search(decoder, annotations, options))


# --- attention ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [SearchConfig("greedy", max_length=6), SearchConfig("beam", max_length=6)]
)
def test_attention_is_that_of_reading_the_same_words(make_decoder, make_annotations, options):
    decoder, annotations = make_decoder(), make_annotations(images=6)
    for image, hypotheses in zip(annotations, search(decoder, annotations, options, attention=True)):
        for hypothesis in hypotheses:
            alphas = read(decoder, image, hypothesis.words).alphas
            assert hypothesis.attention.shape == (len(hypothesis.words), 4)
            torch.testing.assert_close(hypothesis.attention, alphas.float())


def test_betas_are_those_of_the_gate(make_decoder, make_annotations):
    decoder = make_decoder()
    decoder.gate.weight.data.zero_()
    decoder.gate.bias.data.fill_(torch.tensor(3.0).log())  # sigmoid(log 3) = 3 / 4
    options = SearchConfig("beam", max_length=4)
    for hypotheses in search(decoder, make_annotations(), options, attention=True):
        for hypothesis in hypotheses:
            assert hypothesis.betas.tolist() == pytest.approx([0.75] * len(hypothesis.words))


def test_attention_is_not_kept_unless_asked_for(make_decoder, make_annotations):
    ((hypothesis,),) = search(make_decoder(), make_annotations(images=1), SearchConfig("greedy"))
    assert hypothesis.attention is None and hypothesis.betas is None


# --- wrong options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "bream"),
        ("beam_size", 0),
        ("max_length", 0),
        ("length_normalization", -0.1),
        ("block_ngrams", -1),
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("top_k", -1),
        ("top_p", 1.1),
        ("top_p", -0.1),
    ],
)
def test_wrong_options_are_refused_by_name(make_decoder, make_annotations, key, value):
    with pytest.raises(CaptionerError, match=rf"search\.{key}: "):
        search(make_decoder(), make_annotations(), SearchConfig(**{key: value}))


# --- the largest values ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [9, 640, 641, 1000, 5003])
@pytest.mark.parametrize("count", [1, 5])
def test_largest_values_are_those_of_topk(size, count):
    values = torch.randn(7, size)
    values[:, ::3] = float("-inf")  # as words are that must not be said
    best, place = _top(values, count)
    expected = values.topk(count, dim=1)
    assert torch.equal(best, expected.values)
    assert torch.equal(place, expected.indices)
