"""A GPU is never waited for within a training step, and what its steps came to is read one step later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from captioner.config.model import HardAttentionConfig
from captioner.config.schema import TrainConfig
from captioner.features.batches import epoch_batches
from captioner.model.look import drawn
from captioner.training import loop
from captioner.training.loop import train_epoch
from captioner.training.loss import Loss
from captioner.training.setup import prepare
from captioner.training.state import build_state

CPU, GPU = torch.device("cpu"), torch.device("meta")  # which has no values to read, and no CPU's tensors
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "multinomial"}


class NoWaiting(TorchDispatchMode):
    """Raises where a GPU would be waited for: at a value, a shape that depends on values, a transfer."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        tensors = [one for one in args if isinstance(one, Tensor)]
        chosen = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(one is not None and one.dtype == torch.bool for one in chosen)
        made = None
        waits = any(one.device == GPU for one in tensors) and (name in WAITING or by_mask)
        if not waits:
            made = func(*args, **(kwargs or {}))
            waits = name in ("_to_copy", "copy_") and len({one.device for one in [*tensors, made]}) > 1
        if waits:
            raise AssertionError(f"{name} waits for the GPU")
        return made


def test_values_shapes_and_transfers_that_wait_are_noticed() -> None:
    here, there = torch.rand(3), torch.rand(3, device=GPU)
    waits: list[Callable[[], object]] = [
        there.sum().item,
        there.nonzero,
        lambda: there[there > 2],
        lambda: bool(there[0]),
        lambda: there.multinomial(1),
        lambda: here.to(GPU),
        lambda: there.copy_(here),
    ]
    for wait in waits:
        with pytest.raises(AssertionError, match="waits for the GPU"), NoWaiting():
            wait()


class Unasked:
    """Figures that nobody waited for."""

    def __init__(self, loss: Loss, norm: Tensor, images: int) -> None:
        assert loss.total.device == norm.device == GPU
        self.images = images
        self.loss = loss._replace(total=torch.ones(()), nll=torch.ones(()), penalty=torch.ones(()))

    def read(self) -> tuple[Loss, float]:
        return self.loss, 1.0


def everything(config: TrainConfig) -> None:
    config.attention, config.encoder.fine_tune = HardAttentionConfig(size=16), "stage2"


def mosaics(config: TrainConfig) -> None:
    config.training.mosaics, config.training.mosaic_guidance = 1.0, 1.0


@pytest.mark.parametrize("change", [everything, mosaics])
def test_step_waits_for_nothing(
    change: Callable[[TrainConfig], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.config(tmp_path, flip=0.5, captions_per_image=1, clip_norm=5.0, average=0.9)
    config.data, config.encoder.fine_tune = replace(tiny.SCENES, train=4), False
    config.decoder.input_dropout = 0.1
    config.optimizer.name = "rmsprop"  # Adam is fused, which torch cannot on this device
    change(config)
    prepared = prepare(config, CPU)
    here = epoch_batches(prepared.train, 4, 0, 0, 1, flip=0.5, mosaics=config.training.mosaics)
    batches = [batch.to(GPU) for batch in here]
    state = build_state(config, prepared, GPU)
    monkeypatch.setattr(loop, "epoch_batches", lambda *_, **__: iter(batches))
    monkeypatch.setattr(loop, "Figures", Unasked)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no such device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    if change is mosaics:
        train_epoch(config, prepared, state)  # constants are moved once
    with NoWaiting():
        assert train_epoch(config, prepared, state)["gradient_norm"] == 1.0


def test_locations_are_those_that_torch_draws() -> None:
    weights = torch.rand(50, 49).softmax(-1)
    torch.manual_seed(3)
    wanted = torch.multinomial(weights, 1).squeeze(1)
    torch.manual_seed(3)
    assert torch.equal(drawn(weights), wanted)
