"""``training.accumulate``: a step works on its batch in parts, and nothing but memory changes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import tiny
from support.gradients import agree, cases, config_of, gradients, in_double, without_chance
from support.memory import peak_growth

from captioner.config.model import HardAttentionConfig
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.features.batches import Batch, epoch_batches
from captioner.features.captioned import CaptionedSplit
from captioner.training.gradient import step_gradient
from captioner.training.objective import Objective
from captioner.training.ranks import ALONE
from captioner.training.setup import check_training, prepare
from captioner.training.state import build_state

CPU = torch.device("cpu")
PARTS = 3


def mosaics(folder: Path) -> TrainConfig:
    config = config_of(folder, images=17, batch_size=8, mosaics=1.0)
    config.encoder.fine_tune = False
    return config


def varied(name: str, folder: Path) -> TrainConfig:
    """Steps of 4, 4 and 1 images: in three parts 1, 1 and 2 of them, then 0, 0 and 1."""
    if name == "mosaics":
        return mosaics(folder)
    config = cases(folder)[name]
    config.data.train, config.training.batch_size = 9, 4
    if name == "whole encoder":
        config.training.captions_per_image = None
    return config


@pytest.mark.parametrize("name", ["lstm 1", "whole encoder", "self-critical", "mosaics"])
def test_parts_have_the_gradient_of_the_whole_batch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_double(monkeypatch)
    without_chance(monkeypatch)
    seen: list[int] = []
    losses: list[weakref.ref[torch.Tensor]] = []
    forward = Objective.forward

    def counted(self: Objective, batch: Batch) -> object:
        assert not any(loss() is not None for loss in losses)  # what a part needed was given back
        seen.append(len(batch.features))
        loss = forward(self, batch)
        losses.append(weakref.ref(loss.total))
        return loss

    monkeypatch.setattr(Objective, "forward", counted)
    config = varied(name, tmp_path)
    whole = gradients(config, ALONE)
    assert seen == ([2, 2, 1] if name == "mosaics" else [4, 4, 1])
    seen.clear()
    config.training.accumulate = PARTS
    parts = gradients(config, ALONE)
    assert seen == ([1, 1, 1, 1, 1] if name == "mosaics" else [1, 1, 2, 1, 1, 2, 1])
    assert agree({name: whole}, {name: parts}) == {name}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> CaptionedSplit:
    """With captions of 1, 2, 3 ... words, and three neighbours without any."""
    config = tiny.config(tmp_path_factory.mktemp("split"), flip=0.5, mosaics=0.5)
    found = prepare(config, CPU).train
    for number in (0, 1, 2, 5):
        found.captions[number] = []
    return found


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_all_parts_of_all_ranks_are_the_batch(split: CaptionedSplit, ranks: int, parts: int) -> None:
    def batches(rank: int, ranks: int, parts: int) -> list[list[Batch]]:
        steps: list[list[Batch]] = [[]]
        for batch in epoch_batches(split, 5, 0, 0, 2, 0, 0.5, 0.6, 0.5, rank, ranks, parts):
            steps[-1].append(batch)
            if batch.last:
                steps.append([])
        return steps[:-1]

    whole = batches(0, 1, 1)
    shares = [batches(rank, ranks, parts) for rank in range(ranks)]
    assert {len(share) for share in shares} == {len(whole)} == {4}
    for (batch,), *steps in zip(whole, *shares, strict=True):
        assert len({len(step) for step in steps}) == 1  # or a rank would wait in a collective
        assert len(steps[0]) <= parts
        own = [part for step in steps for part in step if not part.stand_in]
        described = captions_of([batch])
        assert captions_of(own) == described and len(described) == batch.all_captions
        assert {(part.all_images, part.all_captions) for step in steps for part in step} == {
            (batch.all_images, batch.all_captions)
        }


def captions_of(parts: list[Batch]) -> list[tuple[list[int], list[float]]]:
    """Every caption's words, with the features of its image, in the order of the images."""
    found = []
    for part in parts:
        words = [[word for word in row if word] for row in part.captions.words.tolist()]
        for image, features in enumerate(part.features.flatten(1).tolist()):
            owned = [i for i, owner in enumerate(part.captions.owner.tolist()) if owner == image]
            found += sorted((words[i], features) for i in owned)
    return found


@pytest.mark.slow
def test_parts_take_less_memory(tmp_path: Path) -> None:
    config = config_of(tmp_path, images=16, batch_size=16, flip=0.0)
    config.encoder.fine_tune = True
    config.data.image_size = config.encoder.image_size = 128
    prepared = prepare(config, CPU)
    state = build_state(config, prepared, CPU)

    def step(parts: int) -> Callable[[], object]:
        return lambda: step_gradient(state, epoch_batches(prepared.train, 16, 0, 0, parts=parts), "fp32")

    step(1)()  # libraries, and the gradients that are kept
    assert peak_growth(step(4)) < 0.75 * peak_growth(step(1))


def hard(config: TrainConfig) -> None:
    config.attention = HardAttentionConfig(size=16)


def scratch(config: TrainConfig) -> None:
    config.encoder.fine_tune = True


def few(config: TrainConfig) -> None:
    config.training.batch_size = 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (few, "^training.accumulate: 3 parts .* training.batch_size=2$"),
        (hard, "^training.accumulate: 3 parts .* attention=soft$"),
        (scratch, "^training.accumulate: 3 parts .* encoder.fine_tune=false$"),
    ],
)
def test_what_parts_would_change_is_refused(
    change: Callable[[TrainConfig], None], said: str, tmp_path: Path
) -> None:
    config = tiny.config(tmp_path, accumulate=PARTS)
    config.encoder.fine_tune = False
    check_training(config)
    change(config)
    with pytest.raises(CaptionerError, match=said):
        check_training(config)
    config.training.accumulate = 1
    check_training(config)
