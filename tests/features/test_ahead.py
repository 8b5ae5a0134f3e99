"""Batches moved to a GPU one ahead of the one that is computed with, elsewhere when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import Tensor

from captioner.features.ahead import moved_ahead
from captioner.features.batches import Batch
from captioner.model.rows import Captions

CPU = torch.device("cpu")


def batches(number: int, log: list[str] | None = None) -> Iterator[Batch]:
    for n in range(number):
        if log is not None:
            log.append(f"asked {n}")
        yield Batch(torch.full((2, 3, 4, 4), float(n)), Captions.build([[[5, 6]], [[7]]]), [2 * n], 2, 2)


def test_on_a_cpu_no_batch_is_asked_for_early() -> None:
    log: list[str] = []
    for batch in moved_ahead(batches(3, log), CPU):
        log.append(f"used {batch.images[0] // 2}")
    assert log == ["asked 0", "used 0", "asked 1", "used 1", "asked 2", "used 2"]


class Streams:
    """CUDA's calls where there is no GPU, written down in the order in which they are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.copying = False
        for name in ("Stream", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, lambda _: self)
        monkeypatch.setattr(torch.cuda, "stream", lambda _: self.within())
        monkeypatch.setattr(Batch, "to", lambda batch, device: self.copy(batch, device))
        monkeypatch.setattr(Tensor, "record_stream", lambda tensor, _: self.kept.append(tensor))
        self.kept: list[Tensor] = []

    def within(self) -> AbstractContextManager[None]:
        @contextmanager
        def block() -> Iterator[None]:
            self.copying = True
            yield
            self.copying = False

        return block()

    def copy(self, batch: Batch, device: torch.device) -> Batch:
        assert self.copying, "a copy in line with the computations"
        assert device.type == "cuda"
        self.log.append(f"copy {batch.images[0] // 2}")
        return batch

    def record_event(self) -> str:
        return self.log[-1]

    def wait_event(self, event: str) -> None:
        self.log.append(f"wait for {event}")


@pytest.mark.parametrize("number", [0, 1, 3])
def test_on_a_gpu_each_copy_begins_before_the_batch_before_it_is_used(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(monkeypatch)
    for batch in moved_ahead(batches(number), torch.device("cuda")):
        streams.log.append(f"use {batch.images[0] // 2}")
        assert {id(tensor) for tensor in batch.tensors()} == {id(tensor) for tensor in streams.kept}
        assert any(tensor is batch.captions.words for tensor in streams.kept)
        streams.kept.clear()
    order = {
        0: "",
        1: "copy 0, wait for copy 0, use 0",
        3: "copy 0, copy 1, wait for copy 0, use 0, copy 2, wait for copy 1, use 1, wait for copy 2, use 2",
    }
    assert ", ".join(streams.log) == order[number]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_arrive_whole() -> None:
    here = list(batches(20))
    for batch, wanted in zip(moved_ahead(batches(20), torch.device("cuda")), here, strict=True):
        for tensor, right in zip(batch.tensors(), wanted.tensors(), strict=True):
            assert tensor.is_cuda
            assert torch.equal(tensor.cpu(), right)
