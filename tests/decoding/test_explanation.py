"""What the model considered: replayed captions against the search and the textbook decoder."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from support import tiny
from support.reading import read
from torch import sigmoid, tanh

import captioner
from captioner.config.search import SearchConfig
from captioner.decoding.explanation import explain
from captioner.decoding.replay import replay
from captioner.decoding.search import search
from captioner.model.cells import CELLS
from captioner.vocabulary import END, PAD, START, UNKNOWN

NAMES = [*CELLS, "gru-after"]
GATES = {
    "vanilla": set(),
    "lstm": {"forget", "input", "output"},
    "peephole": {"forget", "input", "output"},
    "coupled": {"forget", "output"},
    "gru": {"update", "reset"},
    "gru-after": {"update", "reset"},
}
CANDIDATE = {"nig": 1, "nfg": 1, "nog": 2, "niaf": 2, "noaf": 2, "fgr": 2}  # block of g in W and U
GREEDY = SearchConfig("greedy", max_length=6)
BEAM = SearchConfig("beam", beam_size=3, max_length=6)


def best(found):
    return [hypotheses[0].words for hypotheses in found]


# --- gates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_gates_open_as_the_published_equations_say(make_cell, name):
    cell = make_cell(name)
    wx = torch.randn(5, cell.gates * 4, dtype=torch.float64)
    state = tuple(torch.randn(5, 4, dtype=torch.float64) for _ in range(cell.states))
    gates, (new_h, *new_c) = cell.gate_values(wx, state), cell.recur(wx, state)
    assert gates.keys() == GATES[name]
    assert all(gate.shape == (5, 4) and (gate > 0).all() and (gate < 1).all() for gate in gates.values())
    blocks = (wx + state[0] @ cell.hidden_map.T).chunk(cell.gates, dim=1)
    if name in ("lstm", "peephole", "coupled"):
        torch.testing.assert_close(gates["output"] * tanh(new_c[0]), new_h)
        candidate = tanh(blocks[1 if name == "coupled" else 2])
        written = gates["input"] if "input" in gates else 1 - gates["forget"]
        torch.testing.assert_close(gates["forget"] * state[1] + written * candidate, new_c[0])
    if name in ("gru", "gru-after"):
        torch.testing.assert_close(gates["reset"], sigmoid(blocks[0]))
        candidate = (new_h - (1 - gates["update"]) * state[0]) / gates["update"]
        assert (candidate.abs() < 1).all()  # it is a tanh
        torch.testing.assert_close(gates["update"], sigmoid(blocks[1]))


@pytest.mark.parametrize("name", CANDIDATE)
def test_gates_of_the_variants_make_their_next_state(make_cell, name):
    cell = make_cell(name)
    wx = torch.randn(5, cell.gates * 4, dtype=torch.float64)
    state = tuple(torch.rand(5, 4, dtype=torch.float64) for _ in range(cell.states))
    gates, (new_h, new_c, *_) = cell.gate_values(wx, state), cell.recur(wx, state)
    assert len(gates) == (2 if cell.gates == 3 else 3)
    g = (wx + state[0] @ cell.hidden_map.T).chunk(cell.gates, dim=1)[CANDIDATE[name]]
    written = gates.get("input", 1) * (g if name == "niaf" else tanh(g))
    torch.testing.assert_close(gates.get("forget", 1) * state[1] + written, new_c)
    torch.testing.assert_close(gates.get("output", 1) * (new_c if name == "noaf" else tanh(new_c)), new_h)


@torch.inference_mode()
@pytest.mark.parametrize(("name", "after_step"), [*((name, False) for name in NAMES), ("lstm", True)])
def test_gates_of_a_caption_are_the_mean_of_each_over_the_units(
    make_decoder, make_annotations, name, after_step
):
    decoder, annotations = make_decoder(name, after_step=after_step), make_annotations(images=3)
    captions = best(search(decoder, annotations, GREEDY))
    explanations = explain([decoder], [annotations], captions, GREEDY)
    for i, (caption, explanation) in enumerate(zip(captions, explanations)):
        assert explanation.gates.keys() == GATES[name]
        steps = list(replay(decoder, annotations[i : i + 1], [caption]))
        assert len(steps) == len(caption)
        for t, moment in enumerate(steps):
            before, step = moment.state, moment.step
            seen = annotations[i : i + 1].mean(1) if after_step else step.context
            x = torch.cat([step.embedding, seen], dim=1)
            torch.testing.assert_close(decoder.cell(x, before)[0], step.hidden)  # so x is the cell's input
            gates = decoder.cell.gate_values(decoder.cell.input_map(x), before)
            assert {n: g.mean().item() for n, g in gates.items()} == pytest.approx(
                {n: values[t] for n, values in explanation.gates.items()}
            )


# --- the replay -----------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["soft", "hard-argmax", "hard-expectation"])
@pytest.mark.parametrize("name", NAMES)
def test_replayed_steps_equal_those_of_the_search(
    make_decoder, make_annotations, monkeypatch, name, attention
):
    decoder, annotations = make_decoder(name, attention), make_annotations(images=1)
    steps, step = [], decoder.step

    def spied(words, state, memory, rows):
        out, following = step(words, state, memory, rows)
        steps.append(out)
        return out, following

    monkeypatch.setattr(decoder, "step", spied)
    captions = best(search(decoder, annotations, GREEDY))
    seen = steps.copy()
    replayed = [moment.step for moment in replay(decoder, annotations, captions)]
    assert 0 < len(replayed) <= len(seen)  # the search looked for <end> too
    for one, other in zip(replayed, seen):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", [GREEDY, BEAM], ids=["greedy", "beam"])
def test_replayed_attention_equals_that_of_the_search(make_decoder, make_annotations, options):
    decoder, annotations = make_decoder("lstm", spread=1.0), make_annotations(images=5)
    found = search(decoder, annotations, options, attention=True)
    steps = list(replay(decoder, annotations, best(found)))
    for i, hypotheses in enumerate(found):
        alphas = torch.stack([moment.step.alpha[i] for moment in steps[: len(hypotheses[0].words)]])
        torch.testing.assert_close(alphas.float(), hypotheses[0].attention)


# --- alternatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("allow_unknown", [False, True])
def test_alternatives_are_the_likeliest_words_that_the_search_allows(
    make_decoder, make_annotations, allow_unknown
):
    decoder, annotations = make_decoder("gru"), make_annotations(images=4)
    options = SearchConfig("beam", beam_size=3, max_length=6, allow_unknown=allow_unknown)
    captions = best(search(decoder, annotations, options))
    for i, explanation in enumerate(explain([decoder], [annotations], captions, options, count=3)):
        logits = read(decoder, annotations[i], [*captions[i], PAD]).logits
        assert len(explanation.alternatives) == len(captions[i])
        for t, considered in enumerate(explanation.alternatives):
            log_probs = logits[t].log_softmax(0)
            log_probs[[PAD, START] + [UNKNOWN] * (not allow_unknown) + [END] * (t == 0)] = float("-inf")
            expected = log_probs.topk(3)
            assert [word for word, _ in considered] == expected.indices.tolist()
            assert [p for _, p in considered] == pytest.approx(expected.values.tolist(), abs=1e-5)


def test_of_several_models_it_is_the_mean(make_decoder, make_annotations):
    decoders = [make_decoder("gru"), make_decoder("gru-after")]
    annotations = [make_annotations(images=3), make_annotations(images=3, locations=7)]
    captions = best(search(decoders[0], annotations[0], GREEDY))
    alone = [explain([d], [a], captions, GREEDY) for d, a in zip(decoders, annotations)]
    for i, explanation in enumerate(explain(decoders, annotations, captions, GREEDY, count=3)):
        logits = [read(d, a[i], [*captions[i], PAD]).logits for d, a in zip(decoders, annotations)]
        for t, considered in enumerate(explanation.alternatives):
            probabilities = (logits[0][t].softmax(0) + logits[1][t].softmax(0)) / 2
            probabilities[[PAD, START, UNKNOWN] + [END] * (t == 0)] = 0
            expected = probabilities.topk(3)
            assert [word for word, _ in considered] == expected.indices.tolist()
            found = torch.tensor([p for _, p in considered]).exp()
            torch.testing.assert_close(found, expected.values.float(), atol=1e-5, rtol=1e-4)
        for name, values in explanation.gates.items():
            both = [torch.tensor(of_member[i].gates[name]) for of_member in alone]
            assert values == pytest.approx(((both[0] + both[1]) / 2).tolist(), abs=1e-5)
        assert explanation.gates.keys() == GATES["gru"]


def test_gates_of_other_names_have_no_mean(make_decoder, make_annotations):
    decoders, annotations = [make_decoder("lstm"), make_decoder("gru")], make_annotations(images=2)
    explanations = explain(decoders, [annotations] * 2, [(4, 5), (5,)], GREEDY)
    assert [explanation.gates for explanation in explanations] == [{}, {}]


def test_greedy_takes_the_first_alternative(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations(images=6)
    options = SearchConfig("greedy", max_length=6, block_ngrams=2)
    found = search(decoder, annotations, options)
    for (hypothesis,), explanation in zip(found, explain([decoder], [annotations], best(found), options)):
        firsts = [considered[0] for considered in explanation.alternatives]
        assert [word for word, _ in firsts] == list(hypothesis.words)
        words = hypothesis.word_log_probs[: len(firsts)]
        assert [p for _, p in firsts] == pytest.approx(words, abs=1e-5)


def test_words_that_may_not_be_said_are_no_alternatives(make_decoder, make_annotations):
    decoder, annotations = make_decoder(vocabulary=5), make_annotations(images=1)  # one word of its own
    (explanation,) = explain([decoder], [annotations], [(UNKNOWN + 1,) * 2], SearchConfig(), count=9)
    assert [{word for word, _ in considered} for considered in explanation.alternatives] == [
        {UNKNOWN + 1},
        {UNKNOWN + 1, END},
    ]


def test_drawn_locations_are_not_explained(make_decoder, make_annotations):
    decoder, annotations = make_decoder(attention="hard-sample"), make_annotations(images=2)
    assert explain([decoder], [annotations], [(4,), (5,)], GREEDY) == [None, None]


# --- captions -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predictor():
    return captioner.load(tiny.model_file(), "cpu")


def test_caption_tells_what_was_considered(predictor):
    caption = predictor.caption(tiny.records()[0].source(), beam_size=4)
    for word, log_prob, considered in zip(caption.words, caption.word_log_probs, caption.alternatives):
        assert len(considered) == 5
        log_probs = [p for _, p in considered]
        assert (
            log_probs == sorted(log_probs, reverse=True)
            and sum(map(torch.exp, map(torch.tensor, log_probs))) < 1.001
        )
        assert dict(considered).get(word, log_prob) == pytest.approx(log_prob, abs=1e-4)
    assert caption.gates.keys() == GATES["lstm"]
    assert {len(values) for values in caption.gates.values()} == {len(caption.words)}


def test_caption_tells_the_rest_of_the_beam(predictor):
    image = tiny.records()[0].source()
    caption = predictor.caption(image, beam_size=4, length_normalization=0.0)
    assert 1 <= len(caption.beam) <= 3
    log_probs = [caption.log_prob, *(log_prob for _, log_prob in caption.beam)]
    assert log_probs == sorted(log_probs, reverse=True)
    assert len({caption.text, *(text for text, _ in caption.beam)}) == len(log_probs)


def test_without_attention_nothing_is_recorded(predictor):
    (caption,) = predictor.caption_many([tiny.records()[0].source()])
    optional = ("attention", "betas", "image", "photo", "frame", "beam", "alternatives", "gates")
    assert [getattr(caption, name) for name in optional] == [None] * len(optional)


@pytest.mark.parametrize("open_file", [False, True])
def test_photo_is_whole_and_the_frame_is_its_square(predictor, tmp_path, open_file):
    path = tmp_path / "wide.jpg"
    wide = Image.new("RGB", (4000, 2000), "white")
    wide.paste("red", (1000, 0, 3000, 2000))  # the square in the middle
    wide.save(path)
    if open_file:
        with path.open("rb") as file:
            caption = predictor.caption(file)
    else:
        caption = predictor.caption(path)
    assert caption.photo.size == (800, 400) and caption.frame == (200, 0, 600, 400)
    inside = caption.photo.crop((204, 0, 596, 400))
    assert all(low > 240 for low, _ in [inside.getextrema()[0]]) and inside.getextrema()[1][1] < 20
    assert caption.photo.getpixel((100, 200)) == (255, 255, 255)


def test_photo_stands_upright(predictor, tmp_path):
    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100), "blue").save(path, exif=exif)
    caption = predictor.caption(path)
    assert caption.photo.size == (100, 300) and caption.frame == (0, 100, 100, 200)


def test_what_is_shown_changes_what_the_model_sees_by_rounding_alone(predictor, tmp_path):
    path = tmp_path / "large.jpg"
    tiny.records()[0].source().resize((1500, 1200)).save(path)
    (plain,) = predictor.caption_many([path])
    shown = predictor.caption(path)
    assert plain.text == shown.text and shown.log_prob == pytest.approx(plain.log_prob, rel=1e-3)
