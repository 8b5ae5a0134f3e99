"""The gradients of every step of a small run, in float64, for runs that must have the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import tiny
from support.group import furthest
from torch import Tensor

from captioner.config.model import (
    CoupledConfig,
    GRUConfig,
    HardAttentionConfig,
    LSTMConfig,
    PeepholeConfig,
    VanillaConfig,
)
from captioner.config.schema import TrainConfig
from captioner.config.training import SelfCriticalConfig
from captioner.decoding import search
from captioner.features import captioned, mosaics, split
from captioner.model import look
from captioner.model.captioner import Captioner, build_model
from captioner.model.look import HardLook
from captioner.training import adaptation, setup
from captioner.training.loop import train_epoch
from captioner.training.ranks import Ranks
from captioner.training.setup import prepare
from captioner.training.state import build_state

CPU = torch.device("cpu")
Gradients = list[dict[str, Tensor]]  # one set a step, by parameter


def config_of(folder: Path, images: int = 7, batch_size: int = 3, **training: Any) -> TrainConfig:
    """A run without dropout, whose random stream is each rank's own; its last batch is a single image."""
    values = {"flip": 0.5, "captions_per_image": 2, "clip_norm": 0.0, "batch_size": batch_size}
    config = tiny.config(folder, **{**values, **training})
    config.data = replace(config.data, train=images)
    config.decoder.dropout = 0.0
    config.encoder.fine_tune = "stage2"
    return config


def cases(folder: Path) -> dict[str, TrainConfig]:
    """What the gradients are compared for."""
    cells = (
        VanillaConfig(),
        LSTMConfig(),
        PeepholeConfig(),
        CoupledConfig(),
        GRUConfig(),
        GRUConfig(reset_after=True),
    )
    found = {}
    for number, cell in enumerate(cells):
        config = config_of(folder, crop=0.5)
        config.cell, config.encoder.fine_tune = cell, False
        found[f"{cell.name} {number}"] = config
    for variant in ("nig", "nfg", "nog", "niaf", "noaf", "fgr", "layer_norm"):
        found[f"lstm {variant}"] = config_of(folder)
        normed = variant == "layer_norm"
        found[f"lstm {variant}"].cell = LSTMConfig(layer_norm=True) if normed else LSTMConfig(variant=variant)
    found["gru layer_norm"] = config_of(folder)
    found["gru layer_norm"].cell = GRUConfig(layer_norm=True)
    found["sees word"] = config_of(folder)
    found["sees word"].attention.sees_word = True
    found["learned state"] = config_of(folder)
    found["learned state"].decoder.initial_state = "learned"
    found["local scores"] = config_of(folder)
    found["local scores"].encoder.local = "stage1"
    for gate in ("none", "vector"):
        found[f"gate {gate}"] = config_of(folder)
        found[f"gate {gate}"].decoder.gate = gate
    found["hard"] = config_of(folder)
    found["hard"].attention = HardAttentionConfig(size=16, soft_start=0.0, reinforce_weight=1.0)
    found["multiplicative"] = config_of(folder)
    found["multiplicative"].attention.score = "multiplicative"
    found["parts"] = config_of(folder, accumulate=2)
    found["whole encoder"] = config_of(folder)
    found["whole encoder"].encoder.fine_tune = True
    found["mosaics"] = config_of(folder, mosaics=0.7, mosaic_guidance=0.5)
    found["self-critical"] = config_of(folder)
    found["self-critical"].phase = SelfCriticalConfig(samples=2, baseline="greedy", bleu_weight=1.0)
    return found


def in_double(patch: pytest.MonkeyPatch) -> None:
    """Build models in float64: Adam makes whole steps of gradients that are nothing but rounding."""
    exact = split.gather

    def build_double(*given: Any, **named: Any) -> Captioner:
        return build_model(*given, **named).double()

    def gather(features: np.ndarray, rows: Sequence[int]) -> Tensor:
        batch = exact(features, rows)
        return batch if batch.dtype == torch.uint8 else batch.double()

    for module in (adaptation, setup):
        patch.setattr(module, "build_model", build_double)
    for module in (captioned, mosaics, split):
        patch.setattr(module, "gather", gather)


def without_chance(patch: pytest.MonkeyPatch) -> None:
    """Each rank draws from a stream of its own; here all take what no stream decides."""

    def likeliest(weights: Tensor, *_: Any, **__: Any) -> Tensor:
        return weights.argmax(-1)

    def second_best(log_probs: Tensor, *_: Any) -> Tensor:
        return log_probs.topk(2).indices[:, 1]

    patch.setattr(look, "drawn", likeliest)
    patch.setattr(search, "_draw", second_best)
    patch.setattr(HardLook, "expected", lambda _, images, device: torch.zeros(images, dtype=torch.bool))


def gradients(config: TrainConfig, ranks: Ranks) -> Gradients:
    """Those of every step of an epoch, in float64, of weights that stay as they are."""
    torch.manual_seed(0)
    config.optimizer.learning_rate = config.optimizer.encoder_learning_rate = 1e-12
    prepared = prepare(config, CPU)
    prepared.model.encoder.keep_statistics = True  # otherwise they are each rank's own
    state = build_state(config, prepared, CPU, ranks)
    state.objective.baseline = state.baseline.double()
    found: Gradients = []

    def keep(*_: object) -> None:
        named = state.model.named_parameters()
        found.append({name: p.grad.clone() for name, p in named if p.grad is not None})

    state.optimizer.register_step_pre_hook(keep)
    means = train_epoch(config, prepared, state)
    told = {name: torch.tensor(means[name]).double() for name in ("train_nll", "gradient_norm")}
    return [*found, told, {"baseline": state.objective.baseline.nan_to_num()}]


def agree(one: dict[str, Gradients], other: dict[str, Gradients]) -> set[str]:
    """The cases in which every step's gradients do."""
    return {
        name
        for name, steps in one.items()
        if len(steps) == 5  # three steps, what was told, the baseline
        and all(furthest(*both) < 1e-9 for both in zip(steps, other[name], strict=True))
    }
