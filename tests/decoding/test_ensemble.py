"""Ensembles: the mean of the members' probabilities at every step, and members of every kind."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support import tiny
from support.reading import read

import captioner
from captioner.checkpoint.file import Checkpoint, load_checkpoint, save_checkpoint
from captioner.config.model import GRUConfig
from captioner.config.schema import EvaluateConfig, RunConfig
from captioner.config.search import SearchConfig
from captioner.decoding.ensemble import Ensemble
from captioner.decoding.replay import replay
from captioner.decoding.search import search
from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import evaluate
from captioner.model.captioner import build_model
from captioner.model.step import Step
from captioner.vocabulary import END, PAD, UNKNOWN, Vocabulary

EVERY = [
    SearchConfig("greedy", max_length=6),
    SearchConfig("beam", beam_size=3, max_length=6),
    SearchConfig("sample", max_length=6, seed=1),
]


def found_by(decoder: Any, annotations: Any, options: SearchConfig) -> list[Any]:
    found = search(decoder, annotations, options, attention=True)
    return [(h.words, h.finished, pytest.approx(h.log_prob, abs=1e-5)) for hs in found for h in hs]


# --- what the members make together ------------------------------------------------------------------


@pytest.mark.parametrize("options", EVERY, ids=lambda o: o.strategy)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_equal_members_are_the_member(make_decoder, make_annotations, options, size) -> None:
    decoder, annotations = make_decoder(), make_annotations(images=6)
    alone = found_by(decoder, annotations, options)
    assert found_by(Ensemble([decoder] * size), [annotations] * size, options) == alone


class Oracle:
    """Says the words of its table with fixed probabilities, whatever came before."""

    def __init__(self, *probabilities: float) -> None:
        self.cell = SimpleNamespace(states=1)
        self.log_probs = torch.tensor([0.0, 0.0, 0.0, 0.0, *probabilities]).log()

    def begin(self, annotations, generator):
        return SimpleNamespace(select=lambda images: None), (annotations[:, 0],)

    def predict(self, words, state, memory, rows):
        nothing = state[0]
        step = Step(nothing, nothing, nothing, nothing, None)
        return self.log_probs.expand(len(words), -1).clone(), step, state


def test_probabilities_are_averaged_not_their_logs() -> None:
    # words 4, 5, 6: the arithmetic mean prefers 4 (0.5, 0.26, 0.24), the geometric one 5 (0.1, 0.26, 0.2)
    members = [Oracle(0.98, 0.01, 0.01), Oracle(0.02, 0.51, 0.47)]
    ((found,),) = search(Ensemble(members), [torch.zeros(1, 1, 2)] * 2, SearchConfig("greedy", max_length=2))
    assert found.words == (4, 4)
    assert found.word_log_probs == pytest.approx([math.log(0.5)] * 2, abs=1e-6)


@torch.no_grad()
def mean_log_prob(members, path, step):
    """Log of the mean over members of the probability of ``path[step]`` after the words before it."""
    each = [read(d, a, [*path[:step], PAD]).logits[-1].softmax(0)[path[step]] for d, a in members]
    return (sum(each) / len(each)).log().item()


def test_full_beam_finds_every_caption_with_its_mean_probability(make_decoder, make_annotations) -> None:
    decoders = [make_decoder("lstm", vocabulary=6), make_decoder("gru", vocabulary=6, gate="none")]
    looked_at = [make_annotations(images=2), make_annotations(images=2, locations=7)]
    options = SearchConfig("beam", beam_size=20, max_length=3, length_normalization=0.5)
    for i, hypotheses in enumerate(search(Ensemble(decoders), looked_at, options)):
        members = [(decoder, annotations[i]) for decoder, annotations in zip(decoders, looked_at)]
        wanted = {}
        for length in (1, 2):
            for words in product(range(UNKNOWN + 1, 6), repeat=length):
                path = [*words, END]
                total = sum(mean_log_prob(members, path, t) for t in range(len(path)))
                wanted[words] = total / len(path) ** 0.5
        assert {h.words: h.score for h in hypotheses if h.finished} == pytest.approx(wanted, abs=1e-5)


def test_attention_is_the_first_member_s(make_decoder, make_annotations) -> None:
    first, second = make_decoder("lstm"), make_decoder("gru")
    looked_at = [make_annotations(images=3), make_annotations(images=3, locations=7)]
    found = search(Ensemble([first, second]), looked_at, EVERY[1], attention=True)
    for image, hypotheses in zip(looked_at[0], found):
        for hypothesis in hypotheses:
            alphas = read(first, image, hypothesis.words).alphas
            torch.testing.assert_close(hypothesis.attention, alphas.float())


def test_attention_over_one_grid_is_the_mean_of_the_members(make_decoder, make_annotations) -> None:
    members = [make_decoder("lstm"), make_decoder("gru")]
    looked_at = [make_annotations(images=3), make_annotations(images=3)]
    found = search(Ensemble(members, one_grid=True), looked_at, EVERY[1], attention=True)
    for i, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            alphas = [read(d, images[i], hypothesis.words).alphas for d, images in zip(members, looked_at)]
            torch.testing.assert_close(hypothesis.attention, ((alphas[0] + alphas[1]) / 2).float())
            steps = [list(replay(d, a[i : i + 1], [hypothesis.words])) for d, a in zip(members, looked_at)]
            betas = torch.tensor([[moment.step.beta for moment in of_member] for of_member in steps])
            torch.testing.assert_close(hypothesis.betas, betas.mean(0).float())


def test_gate_that_one_member_lacks_is_not_told(make_decoder, make_annotations) -> None:
    members = [make_decoder("lstm"), make_decoder("lstm", gate="none")]
    found = search(Ensemble(members, one_grid=True), [make_annotations()] * 2, EVERY[0], attention=True)
    assert all(hypotheses[0].betas is None for hypotheses in found)


# --- files -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of another cell, size and grid with the tiny model's vocabulary."""
    folder = tmp_path_factory.mktemp("other")
    config = tiny.config(folder, GRUConfig())
    config.encoder.image_size = 48
    vocabulary = load_checkpoint(tiny.model_file()).vocabulary
    model = build_model(config, len(vocabulary))
    save_checkpoint(Checkpoint(model, vocabulary, config), folder / "model.safetensors")
    return folder / "model.safetensors"


def test_a_model_twice_captions_as_once() -> None:
    file = tiny.model_file()
    images = [record.source for record in tiny.records()[:3]]
    one, twice = captioner.load(file, "cpu"), captioner.load([file, file.parent], "cpu")
    for image in images:
        alone, together = one.caption(image), twice.caption(image)
        assert together.text == alone.text
        assert together.log_prob == pytest.approx(alone.log_prob, abs=1e-5)
        torch.testing.assert_close(torch.tensor(together.attention), torch.tensor(alone.attention))
        assert together.betas == pytest.approx(alone.betas, abs=1e-5)
        assert together.gates is not None and alone.gates is not None
        assert together.gates == {name: pytest.approx(g, abs=1e-5) for name, g in alone.gates.items()}
        firsts = [[step[0] for step in caption.alternatives or ()] for caption in (together, alone)]
        assert [word for word, _ in firsts[0]] == [word for word, _ in firsts[1]]


def test_maps_of_the_members_are_averaged_where_their_grids_are_the_same(tmp_path: Path) -> None:
    first = load_checkpoint(tiny.model_file())
    torch.manual_seed(0)
    model = build_model(first.config, len(first.vocabulary))
    save_checkpoint(replace(first, model=model), path := tmp_path / "other.safetensors")
    predictor = captioner.load([tiny.model_file(), path], "cpu")
    assert predictor.decoder.one_grid
    first.config.encoder.resize = "squash" if first.config.encoder.resize == "crop" else "crop"
    save_checkpoint(first, path)  # cells that stand for other parts of the photo
    assert not captioner.load([tiny.model_file(), path], "cpu").decoder.one_grid


def test_members_of_another_size_and_cell_caption_together(
    other_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # whose roundings would tell
    monkeypatch.setattr("captioner.kernels.precision.has_bf16", lambda device: False)
    predictor = captioner.load([other_file, tiny.model_file()], "cpu")
    photo = tiny.records()[0].source
    caption = predictor.caption(photo)
    assert caption.attention is not None and caption.attention.shape[1:] == (6, 6)  # of 48 pixels
    assert caption.image is not None and caption.image.size == (48, 48)
    words = [predictor.vocabulary.index[word] for word in caption.words]
    log_probs = []
    for path in (other_file, tiny.model_file()):  # each member reads the caption alone
        member = load_checkpoint(path)
        preprocess = captioner.load(path, "cpu").preprocess
        pixels = preprocess.pixels(preprocess.frame(photo().convert("RGB")))
        with torch.inference_mode():
            annotations = member.model.encoder(pixels[None])[0]
            log_probs.append(read(member.model.decoder, annotations, words).logits.log_softmax(-1))
    mean = torch.stack(log_probs).exp().mean(0).log()
    wanted = [mean[t, word].item() for t, word in enumerate(words)]
    assert caption.word_log_probs == pytest.approx(wanted, abs=1e-4)


def test_evaluation_of_a_model_twice_equals_its_own(
    tmp_path: Path, other_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap.meteor.meteor", None)  # Java takes seconds each time
    file = str(tiny.model_file())
    run = RunConfig("cpu", workers=0, cache=str(tmp_path), progress=False, compile=False)

    def scored(*files: str) -> Any:
        checkpoint = files[0] if len(files) == 1 else list(files)
        return evaluate(EvaluateConfig(tiny.SCENES, SearchConfig(max_length=8), run, checkpoint))

    alone, twice, mixed = scored(file), scored(file, file), scored(file, str(other_file))
    assert twice.captions == alone.captions
    assert twice.protocol["model_sha256"] == [alone.protocol["model_sha256"]] * 2
    assert len(set(mixed.protocol["model_sha256"])) == 2


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    config = tiny.config(tmp_path)
    vocabulary = Vocabulary(["a", "dog"])
    file = tmp_path / "model.safetensors"
    save_checkpoint(Checkpoint(build_model(config, len(vocabulary)), vocabulary, config), file)
    with pytest.raises(CaptionerError, match="another vocabulary") as caught:
        captioner.load([tiny.model_file(), file], "cpu")
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(CaptionerError, match="list of model files is empty"):
        captioner.load([], "cpu")
