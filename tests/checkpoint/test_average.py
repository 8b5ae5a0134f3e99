"""Model soups: the mean of several models' weights, and what has no mean."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny

import captioner
from captioner.checkpoint.average import average
from captioner.checkpoint.file import Checkpoint, load_checkpoint, save_checkpoint
from captioner.cli.main import main
from captioner.config.model import GRUConfig, HardAttentionConfig
from captioner.errors import CaptionerError
from captioner.model.captioner import build_model


def member(seed: int = 0, **changes: Any) -> Checkpoint:
    """The tiny model with every number moved a little, each seed another way."""
    start = load_checkpoint(tiny.model_file())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in start.model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return replace(start, **changes)


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return deepcopy(checkpoint.model.state_dict())


@pytest.mark.parametrize(
    ("shares", "parts"),
    [(None, (1 / 3, 1 / 3, 1 / 3)), ([1, 1, 2], (0.25, 0.25, 0.5)), ([0, 3, 0], (0, 1, 0))],
    ids=["alike", "weighted", "one"],
)
def test_soup_is_the_weighted_mean(shares: list[float] | None, parts: tuple[float, ...]) -> None:
    members = [member(seed, scores={"BLEU-4": 0.5}, grounding={"peak": 0.5}) for seed in range(3)]
    one, two, three = map(weights, members)
    mean = average(members, shares)
    a, b, c = parts
    for key, found in mean.model.state_dict().items():
        torch.testing.assert_close(found, (a * one[key] + b * two[key] + c * three[key]).to(found.dtype))
    assert mean.scores == mean.grounding == {}  # nobody has scored it


def test_command_writes_a_model_that_captions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for seed, file in enumerate(files):
        save_checkpoint(member(seed), file)
    output = tmp_path / "mean.safetensors"
    with pytest.raises(SystemExit) as ended:
        main(["average", *map(str, files), "--output", str(output), "--weights", "1", "3"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"written: {output}\n"
    wanted = average([load_checkpoint(file) for file in files], [0.25, 0.75])
    assert all(torch.equal(v, weights(wanted)[k]) for k, v in weights(load_checkpoint(output)).items())
    assert captioner.load(output, "cpu").caption(tiny.records()[0].source).log_prob < 0


def other(**changes: Any) -> Checkpoint:
    """An untrained model with the tiny one's configuration but for ``changes``."""
    start = load_checkpoint(tiny.model_file())
    config = start.config
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            setattr(getattr(config, part), name, value)
        else:
            setattr(config, part, value)
    return replace(start, model=build_model(config, len(start.vocabulary)))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"encoder__image_size": 48}, "another encoder.image_size, 48,"),
        ({"cell": GRUConfig()}, "another cell.name, gru,"),
        ({"attention": HardAttentionConfig(size=16)}, "another attention.name, hard,"),
        ({"decoder__embedding_size": 24}, "another decoder.embedding_size, 24,"),
    ],
    ids=str,
)
def test_models_without_a_mean_are_refused(changes: dict[str, Any], difference: str) -> None:
    with pytest.raises(CaptionerError, match=f"average: model 3 has {difference} than model 1"):
        average([member(), member(), other(**changes)])


def test_what_only_training_reads_may_differ() -> None:
    alike = other(encoder__fine_tune=False, decoder__dropout=0.5, attention__penalty=0.0)
    before, ours = weights(alike), member()
    untouched = weights(ours)
    half = average([ours, alike]).model.state_dict()
    assert all(
        torch.allclose(half[k], (untouched[k] + before[k]) / 2) for k in half if half[k].is_floating_point()
    )


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([1.0], "weights: 1 of them for 2 models"),
        ([1.0, -0.5], "weights: -0.5 is out of range, it must be at least 0"),
        ([0.0, 0.0], "weights: their sum must be a number above zero"),
        ([1e308, 1e308], "weights: their sum must be a number above zero"),
        ([float("nan"), 1.0], "weights: nan is out of range, it must be at least 0"),
    ],
    ids=str,
)
def test_shares_that_make_no_mean_are_refused(shares: list[float], message: str) -> None:
    with pytest.raises(CaptionerError, match=message):
        average([member(), member()], shares)


def test_a_mean_of_one_is_refused() -> None:
    with pytest.raises(CaptionerError, match="name two or more"):
        average([member()])
