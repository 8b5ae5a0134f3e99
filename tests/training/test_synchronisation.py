"""A training step on a GPU is waited for once, when its loss is asked for: nothing before reads a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny
from torch.utils._python_dispatch import TorchDispatchMode

from captioner.config.model import HardAttentionConfig
from captioner.features.batches import epoch_batches
from captioner.training.gradient import fetched, step_gradient
from captioner.training.setup import prepare
from captioner.training.state import build_state

CPU = torch.device("cpu")
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2"}


class Unread(TorchDispatchMode):
    """Raises where Python would wait for a GPU: at a value, or at a shape that depends on values."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        chosen = args[1] if name in ("index", "index_put", "index_put_") else ()
        if name in WAITING or any(one is not None and one.dtype == torch.bool for one in chosen):
            raise AssertionError(f"{name} waits for the GPU")
        return func(*args, **(kwargs or {}))


def test_values_and_shapes_that_depend_on_them_are_noticed() -> None:
    values = torch.rand(3)
    for read in (values.sum().item, values.nonzero, lambda: values[values > 2], lambda: bool(values[0])):
        with pytest.raises(AssertionError, match="waits for the GPU"), Unread():
            read()


@pytest.mark.parametrize("kind", ["soft", "hard", "fine-tuned"])
def test_step_reads_no_value(tmp_path: Path, kind: str) -> None:
    config = tiny.config(tmp_path, flip=0.5, captions_per_image=2, clip_norm=5.0)
    config.encoder.fine_tune = "stage2" if kind == "fine-tuned" else False
    config.decoder.input_dropout = 0.1  # words are then read one by one, as on a GPU
    if kind == "hard":
        config.attention = HardAttentionConfig(size=16)
    prepared = prepare(config, CPU)
    state = build_state(config, prepared, CPU)
    batches = list(epoch_batches(prepared.train, 4, 0, 0, 2, flip=0.5))  # made on the CPU, ahead of the step
    for batch in batches[:2]:
        with Unread():
            loss, _ = step_gradient(state, iter([batch]), "fp32")
            norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), 5.0)
        assert fetched(loss, norm)[1] > 0
        with Unread():
            state.optimizer.step()
            state.optimizer.zero_grad(set_to_none=True)
