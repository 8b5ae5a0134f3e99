"""Self-critical training: its gradient against the expected reward's, and a run from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support import tiny
from support.reading import read

from captioner.checkpoint.file import load_checkpoint
from captioner.cli import train as command
from captioner.config.schema import TrainConfig
from captioner.config.search import SearchConfig
from captioner.config.training import PhaseConfig, SelfCriticalConfig
from captioner.data.records import Record, mirror_of
from captioner.decoding.search import search
from captioner.errors import CaptionerError
from captioner.kernels.dropout import Dropout
from captioner.metrics.dangling import dangling
from captioner.model.rows import Captions
from captioner.training.loop import train
from captioner.training.self_critical import SelfCritical, caption_reward, policy_loss
from captioner.vocabulary import END, PAD, START, UNKNOWN, Vocabulary

LENGTH, VOCABULARY = 3, 6  # the tiny decoders say words 4 and 5, and at most three of them
SEARCH = SearchConfig(max_length=LENGTH)
WORDS = ["<pad>", "<start>", "<end>", "<unk>", "x", "y"]


def every_caption() -> list[list[int]]:
    finished = [[*w, END] for n in range(1, LENGTH) for w in product((4, 5), repeat=n)]
    return finished + [list(w) for w in product((4, 5), repeat=LENGTH)]


def reward_of(caption: list[int]) -> float:
    """Any function of a caption that is no sum over its words."""
    said = sum((t + 1) * word**2 for t, word in enumerate(caption))
    return float(said % 7) + 2.0 * (caption[-1] == END)


def reward(captions: list[list[str]], images: list[int]) -> np.ndarray:
    return np.array([reward_of([WORDS.index(word) for word in caption]) for caption in captions])


def log_prob(decoder, annotations, caption, temperature=1.0):
    """Log probability of a caption among those that may be said, from the textbook equations."""
    logits = read(decoder, annotations, caption).logits
    total = logits.new_zeros(())
    for t, word in enumerate(caption):
        forbidden = [PAD, START, UNKNOWN] + [END] * (t == 0)
        allowed = logits[t].index_fill(0, torch.tensor(forbidden), float("-inf"))
        total = total + (allowed / temperature).log_softmax(0)[word]
    return total


@torch.no_grad()
def expected_reward(decoder, annotations, temperature=1.0):
    captions = every_caption()
    return sum(log_prob(decoder, annotations, c, temperature).exp() * reward_of(c) for c in captions).item()


def direction_of(decoder, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in decoder.parameters()]


def slope(decoder, annotations, direction, temperature=1.0, step=1e-5):
    """The expected reward's derivative along a direction, by central differences."""
    values = []
    for sign in (1, -2):
        for parameter, part in zip(decoder.parameters(), direction):
            parameter.data += sign * step * part
        values.append(expected_reward(decoder, annotations, temperature))
    for parameter, part in zip(decoder.parameters(), direction):
        parameter.data += step * part
    return (values[0] - values[1]) / (2 * step)


def along(decoder, direction):
    """The same of what backward left."""
    gradients = (
        0 if p.grad is None else (p.grad * d).sum().item() for p, d in zip(decoder.parameters(), direction)
    )
    return sum(gradients)


def as_model(decoder):
    """A model without an encoder."""
    return SimpleNamespace(
        encoder=SimpleNamespace(tail=lambda features: features), decoder=decoder, eval=decoder.eval
    )


# --- the gradient ------------------------------------------------------------------------------------


def test_the_captions_are_all_there_are(make_decoder, make_annotations) -> None:
    decoder, (image,) = make_decoder(vocabulary=VOCABULARY), make_annotations(images=1)
    total = sum(log_prob(decoder, image, caption).exp().item() for caption in every_caption())
    assert total == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("cell", "attention"), [("lstm", "soft"), ("gru", "hard-argmax")])
def test_loss_over_all_captions_has_the_gradient_of_the_expected_reward(
    make_decoder, make_annotations, cell, attention
) -> None:
    decoder, annotations = make_decoder(cell, attention, vocabulary=VOCABULARY), make_annotations(images=1)
    captions = Captions.build([every_caption()])
    weight = []  # p(c) r(c) in the order in which captions are packed
    for row in captions.words.tolist():
        caption = [word for word in row if word != PAD]
        weight.append(log_prob(decoder, annotations[0], caption).exp().item() * reward_of(caption))
    loss, nll = policy_loss(decoder, decoder(annotations, captions), torch.tensor(weight).double(), SEARCH)
    loss.backward()
    for seed in range(3):
        direction = direction_of(decoder, seed)
        wanted = slope(decoder, annotations[0], direction)
        assert -along(decoder, direction) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    given = [-log_prob(decoder, annotations[0], c).item() for c in every_caption()]
    assert nll.sum().item() == pytest.approx(sum(given), abs=1e-6)


@pytest.mark.parametrize(("baseline", "temperature"), [("mean", 1.0), ("greedy", 1.0), ("mean", 0.5)])
def test_sampled_gradient_is_unbiased(make_decoder, make_annotations, baseline, temperature) -> None:
    decoder, annotations = make_decoder(vocabulary=VOCABULARY), make_annotations(images=1)
    options = SelfCriticalConfig(samples=50, baseline=baseline, temperature=temperature)
    critic = SelfCritical(options, SEARCH, WORDS, reward)
    direction, found = direction_of(decoder, 1), []
    for _ in range(40):
        decoder.zero_grad()
        loss = critic(as_model(decoder), annotations, [0])
        (loss.total / loss.captions).backward()
        found.append(-along(decoder, direction))
    error = np.std(found) / len(found) ** 0.5
    wanted = slope(decoder, annotations[0], direction, temperature)
    assert abs(wanted) > 8 * error  # or the next line would say little
    assert np.mean(found) == pytest.approx(wanted, abs=4 * error)


def test_a_baseline_makes_equal_rewards_move_nothing(make_decoder, make_annotations) -> None:
    decoder, annotations = make_decoder(), make_annotations(images=4)
    critic = SelfCritical(
        SelfCriticalConfig(samples=3), SEARCH, WORDS + ["z"] * 3, lambda said, _: np.full(len(said), 3.0)
    )
    loss = critic(as_model(decoder), annotations, range(4))
    loss.total.backward()
    assert loss.reward == pytest.approx(3.0 * 12) and loss.captions == 12
    assert max(p.grad.abs().max().item() for p in decoder.parameters() if p.grad is not None) < 1e-6


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_only_annotations_have_dropout_and_the_same_in_both_passes(
    make_decoder, make_annotations, share
) -> None:
    decoder, annotations = make_decoder(dropout=0.5).train(), make_annotations(images=5)
    words = list("abcdefghi")
    options = SelfCriticalConfig(samples=4, annotation_dropout=share, temperature=1.0)
    critic = SelfCritical(options, SEARCH, words, lambda said, _: np.zeros(len(said)))
    torch.manual_seed(7)
    loss = critic(as_model(decoder), annotations, range(5))
    torch.manual_seed(7)
    annotations = Dropout(share)(annotations)
    drawn = SearchConfig("sample", max_length=LENGTH, seed=int(torch.randint(2**31, ())))
    wanted = 0.0
    for image, hypotheses in zip(annotations, search(decoder, annotations, drawn, copies=4)):
        for h in hypotheses:
            wanted -= log_prob(decoder, image, [*h.words, *[END] * h.finished]).item()
    assert loss.nll.item() == pytest.approx(wanted, rel=1e-5)


# --- the reward --------------------------------------------------------------------------------------


RECORDS = [
    Record(0, Path("0"), ("A dog runs in a field.", "The brown dog is running.")),
    Record(1, Path("1"), ("A child plays.", "A girl with a ball.")),
    Record(2, Path("2"), ("Two men in a boat.", "Men fish from a boat.")),
]
KNOWN = Vocabulary(["a", "dog", "runs", "in", "field", "the", "brown", "ball"])


def rewards_of(*captions: str, bleu_weight: float = 0.0) -> list[float]:
    """Of captions of the first image."""
    reward = caption_reward(RECORDS, KNOWN, bleu_weight)
    return reward([caption.split() for caption in captions], [0] * len(captions)).tolist()


def test_the_end_is_a_word() -> None:
    whole, cut, dangling_end = rewards_of(
        "a dog runs in a field <end>", "a dog runs in a field", "a dog runs in a <end>"
    )
    assert whole > cut > dangling_end


def test_unknown_words_of_references_count_for_nothing() -> None:
    unknown, known = rewards_of("the brown dog is <unk> <end>", "the brown dog is running <end>")
    assert known > unknown


def test_bleu_is_added_with_its_weight() -> None:
    caption = "a dog runs in a field <end>"
    (plain,), (mixed,) = rewards_of(caption), rewards_of(caption, bleu_weight=0.5)
    assert mixed == pytest.approx(plain + 0.5)  # its BLEU is 1
    (plain,), (mixed,) = rewards_of("ball ball"), rewards_of("ball ball", bleu_weight=0.5)
    assert mixed == plain == 0


def test_mirror_images_are_judged_by_mirrored_references() -> None:
    records = [Record(0, Path("0"), ("A dog left of a ball.",)), *RECORDS[1:]]
    left, right, other = (
        said.split() for said in ("a dog left of a ball <end>", "a dog right of a ball <end>", "a child")
    )
    plain = caption_reward(records, KNOWN)
    mirrored = caption_reward([*records, *map(mirror_of, records)], KNOWN)
    right_way, wrong_way, whole, twin = mirrored([left, right, other, other], [0, 0, 1, 4])
    assert right_way > 2 * wrong_way
    assert mirrored([right, left], [3, 3]).tolist() == [right_way, wrong_way]
    assert mirrored([left], [0]).tolist() == [right_way]
    assert plain([left, right, other], [0, 0, 1]).tolist() == [right_way, wrong_way, whole]
    assert twin == whole


def test_dangling_captions_are_counted() -> None:
    captions = ["a dog in a", "a dog", "dogs and", "", "the", "a band"]
    assert dangling([caption.split() for caption in captions]) == 3


# --- a run -------------------------------------------------------------------------------------------


def second_phase(folder: Path, **training: object) -> TrainConfig:
    options = {"schedule": "constant", "warmup": 0.0, "patience": 0, "select": "CIDEr-D", **training}
    config = tiny.config(folder, **options)
    config.decoder.embedding_size = config.decoder.hidden_size = config.attention.size = 32
    config.decoder.dropout = 0.0
    config.optimizer.learning_rate = 2e-3
    config.phase = SelfCriticalConfig(samples=8)
    config.init = str(tiny.model_file())
    return config


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_raises_its_reward_and_is_never_worse_than_its_start(tmp_path: Path) -> None:
    report: list[str] = []
    config = second_phase(tmp_path, epochs=6)
    first = replace(config, phase=PhaseConfig("cross_entropy"), init=None)  # one that has much to learn yet
    first.optimizer = replace(config.optimizer, learning_rate=0.01)
    train(first, tmp_path / "first", report=tiny.silent)
    config.init = str(tmp_path / "first")
    config.training.epochs = 10
    train(config, tmp_path / "run", report=report.append)
    entries = metrics(tmp_path / "run")
    assert [entry["epoch"] for entry in entries] == list(range(11))
    rewards = [entry["reward"] for entry in entries[1:]]
    assert np.mean(rewards[5:]) > 1.1 * rewards[0]  # 1.2 to 1.5 with other seeds
    best = load_checkpoint(tmp_path / "run")
    assert best.scores["CIDEr-D"] == max(entry["CIDEr-D"] for entry in entries)
    assert best.vocabulary.words == load_checkpoint(config.init).vocabulary.words
    assert all(0 <= entry["dangling"] <= 1 for entry in entries)
    assert any(line.startswith("start  BLEU-4 ") for line in report)
    assert any("reward" in line for line in report)


def test_a_run_in_parts_is_the_run_as_a_whole(tmp_path: Path) -> None:
    train(second_phase(tmp_path, epochs=2), tmp_path / "whole", report=tiny.silent)
    train(second_phase(tmp_path, epochs=1), tmp_path / "parts", report=tiny.silent)
    train(second_phase(tmp_path, epochs=2), tmp_path / "parts", resume=True, report=tiny.silent)
    whole, parts = metrics(tmp_path / "whole"), metrics(tmp_path / "parts")
    for key in ("reward", "train_nll", "CIDEr-D", "BLEU-1"):
        assert [entry.get(key) for entry in parts] == [entry.get(key) for entry in whole]


# --- the command -------------------------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The configurations that the command would train."""
    seen: list[TrainConfig] = []

    def remember(config: TrainConfig, output: Path, resume: bool = False, **_: object) -> None:
        seen.append(config)

    monkeypatch.setattr("captioner.training.loop.train", remember)
    return seen


def test_init_takes_the_run_s_configuration_and_the_phase_s_values(
    runs: list[TrainConfig], tmp_path: Path
) -> None:
    folder = tiny.model_file().parent
    arguments = [f"init={folder}", f"output={tmp_path}/o", "phase.samples=3", "training.batch_size=7"]
    command.run(["phase=self_critical", *arguments, "optimizer=adam", "run.workers=1"])
    (config,) = runs
    assert config.phase == SelfCriticalConfig(samples=3)
    assert (config.decoder.hidden_size, config.attention.size) == (32, 32)  # the run's
    assert (config.data, config.training.precision) == (tiny.SCENES, "fp32")
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("adam", 8e-5)  # the phase's
    assert (config.training.select, config.training.batch_size) == ("CIDEr-D", 7)
    assert (config.init, config.output, config.run.workers) == (str(folder), f"{tmp_path}/o", 1)


def test_without_a_phase_init_goes_on_with_cross_entropy(runs: list[TrainConfig], tmp_path: Path) -> None:
    command.run([f"init={tiny.model_file().parent}", f"output={tmp_path}", "optimizer.learning_rate=1e-4"])
    (config,) = runs
    assert config.phase.name == "cross_entropy"
    assert (config.optimizer.learning_rate, config.training.epochs) == (1e-4, 12)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("vocabulary.min_count=2", "init: vocabulary.min_count=2 cannot be changed"),
        ("experiment=quickstart", "init: experiment=quickstart cannot be changed"),
        ("phase.baseline=median", "phase.baseline: 'median' is not one of mean, greedy"),
        ("phase.samples=1", "phase.samples: 1 is out of range, it must be at least 2"),
        ("training.select=METEOR", "training.select: 'METEOR' is not one of BLEU-4, CIDEr-D"),
        ("cell=gru", "init: the model of .* is not of this configuration"),
        ("decoder.hidden_size=8", "init: the model of .* is not of this configuration"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, override: str, message: str) -> None:
    arguments = [f"init={tiny.model_file().parent}", f"output={tmp_path}/o", "run.progress=false"]
    with pytest.raises(CaptionerError, match=message) as caught:
        command.run(["phase=self_critical", *arguments, override])
    assert "\n" not in str(caught.value)


def test_a_first_phase_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="init=RUN"):
        command.run(["phase=self_critical", f"output={tmp_path}/o"])
    with pytest.raises(CaptionerError, match=r"init: .* holds no config\.yaml"):
        command.run(["phase=self_critical", f"init={tmp_path}", f"output={tmp_path}/o"])
