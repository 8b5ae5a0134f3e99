"""The batched decoder against a ``textbook`` one that reads one caption at a time."""

from __future__ import annotations

import pytest
import torch
from support.reading import read

from captioner.errors import CaptionerError
from captioner.model.rows import Captions, Rows
from captioner.model.step import Step
from captioner.vocabulary import END, START

CPU = torch.device("cpu")
CELLS = ["vanilla", "lstm", "peephole", "coupled", "gru", "gru-after"]
ATTENTIONS = ["soft", "hard-expectation", "hard-argmax"]
OPTIONS = [{"gate": gate, "deep_output": deep} for gate in ("none", "scalar", "vector") for deep in (0, 1)]
TEXTS = [[[4, 5, END], [6, END]], [], [[8, 7, 6, 5, END], [4, END], [END]]]  # of three images


def logits_of(decoder, unrolled):
    return decoder.logits(unrolled.steps)


def textbook(decoder, annotations, captions):
    """Packed logits and coverage, caption by caption."""
    texts = [[w for w in words if w] for words in captions.words.tolist()]
    readings = [read(decoder, annotations[o], text) for o, text in zip(captions.owner, texts)]
    steps = range(len(captions.alive))
    packed = [r.logits[t] for t in steps for r in readings if t < len(r.logits)]
    return torch.stack(packed), torch.stack([r.alphas.sum(0) for r in readings])


def gradients(decoder, annotations, logits, coverage):
    """Of every parameter and of the annotations, from a loss that reads all logits and all attention."""
    words = torch.linspace(0, 60, logits.numel(), dtype=logits.dtype).sin().view_as(logits)
    places = torch.linspace(0, 9, coverage.numel(), dtype=coverage.dtype).cos().view_as(coverage)
    loss = (logits * words).sum() + (coverage.square() * places).sum()
    wanted = {**dict(decoder.named_parameters()), "annotations": annotations}
    found = torch.autograd.grad(loss, wanted.values(), allow_unused=True)
    return {name: torch.zeros_like(w) if g is None else g for (name, w), g in zip(wanted.items(), found)}


def assert_textbook(decoder, annotations):
    annotations.requires_grad_()
    captions = Captions.build(TEXTS)
    unrolled = decoder(annotations, captions)
    ours = logits_of(decoder, unrolled), unrolled.coverage
    theirs = textbook(decoder, annotations, captions)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        gradients(decoder, annotations, *ours), gradients(decoder, annotations, *theirs)
    )


def losses(decoder, annotations, texts):
    """Negative log likelihood of every caption, by image and text."""
    captions = Captions.build(texts)
    unrolled = decoder(annotations, captions)
    nll = torch.nn.functional.cross_entropy(logits_of(decoder, unrolled), unrolled.targets, reduction="none")
    words = [tuple(w for w in text if w) for text in captions.words.tolist()]
    return dict(zip(zip(captions.owner.tolist(), words), captions.total(nll)))


# --- teacher forcing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_and_attention_equals_the_textbook(make_decoder, make_annotations, cell, attention):
    assert_textbook(make_decoder(cell, attention), make_annotations())


@pytest.mark.parametrize("options", OPTIONS)
def test_every_gate_and_output_equals_the_textbook(make_decoder, make_annotations, options):
    assert_textbook(make_decoder("lstm", "soft", **options), make_annotations())


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_multiplicative_scores_equal_the_textbook(make_decoder, make_annotations, attention):
    assert_textbook(make_decoder("lstm", attention, score="multiplicative"), make_annotations())


@pytest.mark.parametrize("score", ["additive", "multiplicative"])
def test_a_look_that_sees_the_word_equals_the_textbook(make_decoder, make_annotations, score):
    assert_textbook(make_decoder("lstm", score=score, sees_word=True), make_annotations())


@pytest.mark.parametrize("options", [{}, {"score": "multiplicative"}, {"sentinel": True}])
def test_locations_scored_by_their_local_features_equal_the_textbook(make_decoder, make_annotations, options):
    assert_textbook(make_decoder("lstm", local=2, **options), make_annotations())


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("normalize", ["sparsemax", "entmax15"])
def test_sparse_attention_equals_the_textbook(make_decoder, make_annotations, normalize, attention):
    pytest.importorskip("entmax")
    assert_textbook(make_decoder("lstm", attention, normalize=normalize), make_annotations())


@pytest.mark.parametrize("score", ["additive", "multiplicative"])
@pytest.mark.parametrize("gate", ["none", "vector"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_look_after_the_step_equals_the_textbook(make_decoder, make_annotations, cell, gate, score):
    assert_textbook(make_decoder(cell, score=score, gate=gate, after_step=True), make_annotations())


@pytest.mark.parametrize("normalize", ["softmax", "entmax15"])
@pytest.mark.parametrize("score", ["additive", "multiplicative"])
@pytest.mark.parametrize("cell", ["lstm", "coupled"])
def test_a_sentinel_equals_the_textbook(make_decoder, make_annotations, cell, score, normalize):
    if normalize != "softmax":
        pytest.importorskip("entmax")
    assert_textbook(make_decoder(cell, score=score, sentinel=True, normalize=normalize), make_annotations())


def test_a_sentinel_that_wins_hides_the_image(make_decoder, make_annotations):
    """Its bias decides how much the image counts: all, or nothing, in which case no annotation matters."""
    decoder, annotations = make_decoder(sentinel=True), make_annotations(images=2)
    decoder.attention.score.data.fill_(20.0)
    rows, word = Rows.full(2, 1, CPU), torch.tensor([START, START])
    memory, state = decoder.begin(annotations)
    for bias, counts in ((-20.0, 1.0), (20.0, 0.0)):
        decoder.sentinel.key_map.bias.data.fill_(bias)
        step, _ = decoder.step(word, state, memory, rows)
        torch.testing.assert_close(step.beta, torch.full((2,), counts, dtype=torch.float64))
        torch.testing.assert_close(step.alpha.sum(-1), torch.ones(2, dtype=torch.float64))
    elsewhere = decoder.begin(make_annotations(images=2))[0]._replace(mean=memory.mean)
    blind, _ = decoder.step(word, state, elsewhere, rows)
    torch.testing.assert_close(decoder.logits(blind), decoder.logits(step))


@pytest.mark.parametrize("attention", ["soft", "hard-argmax"])
def test_after_the_step_a_look_has_read_the_word(make_decoder, make_annotations, attention):
    """The map of the same step changes with the word just written, not with the look before."""
    decoder, annotations = make_decoder(attention=attention, after_step=True), make_annotations(images=1)
    memory, state = decoder.begin(annotations)
    rows = Rows.full(1, 1, CPU)
    (one, after), (other, _) = (decoder.step(torch.tensor([word]), state, memory, rows) for word in (4, 5))
    assert (one.alpha - other.alpha).abs().max() > 0.01
    elsewhere = decoder.begin(annotations.flip(1))[0]
    _, same = decoder.step(torch.tensor([4]), state, elsewhere, rows)
    torch.testing.assert_close(after, same)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_teacher_forcing_equals_repeated_steps(make_decoder, make_annotations, attention):
    decoder, annotations = make_decoder("gru", attention), make_annotations(images=1)
    text = [5, 6, 4, END]
    wanted = logits_of(decoder, decoder(annotations, Captions.build([[text]])))
    memory, state = decoder.begin(annotations)
    for t, previous in enumerate([START, *text[:-1]]):
        out, state = decoder.step(torch.tensor([previous]), state, memory, Rows.full(1, 1, CPU))
        logits = decoder.logits(out)
        torch.testing.assert_close(logits[0], wanted[t])


def test_targets_are_the_packed_words(make_decoder, make_annotations):
    unrolled = make_decoder()(make_annotations(images=1), Captions.build([[[4, END], [7, 8, END]]]))
    assert unrolled.targets.tolist() == [7, 4, 8, END, END]


def test_a_batch_of_many_equals_one_by_one(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations()
    together = losses(decoder, annotations, TEXTS)
    for (image, words), loss in together.items():
        (alone,) = losses(decoder, annotations[image][None], [[list(words)]]).values()
        torch.testing.assert_close(loss, alone)


def test_order_in_the_batch_does_not_matter(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations()
    turned = losses(decoder, annotations.flip(0), [texts[::-1] for texts in TEXTS[::-1]])
    turned = {(2 - image, words): loss for (image, words), loss in turned.items()}
    torch.testing.assert_close(turned, losses(decoder, annotations, TEXTS))


def test_captions_without_padding_need_no_longer_neighbour(make_decoder, make_annotations):
    decoder, annotations = make_decoder(), make_annotations(images=1)
    alone = losses(decoder, annotations, [[[4, END]]])
    beside = losses(decoder, annotations, [[[4, END], [5, 6, 7, 8, 5, END]]])
    torch.testing.assert_close(beside[0, (4, END)], alone[0, (4, END)])


def test_initial_state_is_tanh_of_a_map_of_the_mean_annotation(make_decoder, make_annotations):
    decoder, annotations = make_decoder("lstm"), make_annotations()
    _, state = decoder.begin(annotations)
    wanted = torch.tanh(annotations.mean(1) @ decoder.init_state.weight.T + decoder.init_state.bias)
    torch.testing.assert_close(torch.cat(state, dim=1), wanted)


def test_a_learned_initial_state_does_not_know_the_image(make_decoder, make_annotations):
    decoder = make_decoder("lstm", initial_state="learned")
    _, state = decoder.begin(make_annotations())
    torch.testing.assert_close(torch.cat(state, dim=1), torch.tanh(decoder.init_state.state).expand(3, -1))


# --- the gate ----------------------------------------------------------------------------------------


def first_step(decoder, annotations):
    memory, state = decoder.begin(annotations)
    out, _ = decoder.step(torch.tensor([START]), state, memory, Rows.full(1, 1, CPU))
    return out, state[0]


@pytest.mark.parametrize("gate", ["scalar", "vector"])
def test_beta_is_the_gates_mean(make_decoder, make_annotations, gate):
    decoder = make_decoder(gate=gate)
    out, hidden = first_step(decoder, make_annotations(images=1))
    beta = torch.sigmoid(decoder.gate.weight @ hidden[0] + decoder.gate.bias)
    torch.testing.assert_close(out.beta, beta.mean()[None])


def test_no_beta_without_a_gate(make_decoder, make_annotations):
    assert first_step(make_decoder(gate="none"), make_annotations(images=1))[0].beta is None


# --- dropout and wrong values ------------------------------------------------------------------------


def test_dropout_is_for_training_alone(make_decoder, make_annotations):
    decoder, annotations = make_decoder(dropout=0.5), make_annotations()
    captions = Captions.build(TEXTS)
    logits = logits_of(decoder, decoder(annotations, captions))
    torch.testing.assert_close(logits, textbook(decoder, annotations, captions)[0])
    decoder.train()
    assert not torch.allclose(logits_of(decoder, decoder(annotations, captions)), logits)


def test_dropout_of_the_shallow_output_is_on_the_hidden_state(make_decoder):
    decoder = make_decoder(deep_output=False, dropout=0.5).train()
    decoder.word_output.weight.data = torch.eye(4, dtype=torch.float64)
    decoder.word_output.bias.data = torch.zeros(4, dtype=torch.float64)
    hidden = torch.ones(500, 4, dtype=torch.float64)
    logits = decoder.logits(Step(None, hidden, None, None, None))
    assert logits.unique().tolist() == [0, 2]


def test_input_dropout_is_on_word_vectors_and_annotations(make_decoder, make_annotations):
    decoder, annotations = make_decoder(input_dropout=0.5), make_annotations()
    captions = Captions.build(TEXTS)
    logits = logits_of(decoder, decoder(annotations, captions))
    torch.testing.assert_close(logits, textbook(decoder, annotations, captions)[0])
    decoder.train().embedding.weight.data.fill_(1.0)
    assert decoder(annotations, captions).steps.embedding.unique().tolist() == [0, 2]
    assert decoder.begin(torch.ones_like(annotations))[0].values.vectors.unique().tolist() == [0, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "matrix"}, r"decoder\.gate: 'matrix' is not one of none, scalar, vector"),
        ({"dropout": 1.0}, r"decoder\.dropout: 1\.0"),
        ({"dropout": -0.1}, r"decoder\.dropout: -0\.1"),
        ({"input_dropout": 1.0}, r"decoder\.input_dropout: 1\.0"),
    ],
)
def test_wrong_options_are_refused(make_decoder, options, message):
    with pytest.raises(CaptionerError, match=message):
        make_decoder(**options)
