"""Batches on their way to a GPU while the one before them is computed with."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from captioner.features.batches import Batch


def moved_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches on a device, in their order.

    To a GPU each is copied over a stream of its own, from page-locked memory, and asked for one batch early:
    its copy is under way while the GPU computes with the batch before it. Elsewhere nothing is gained by
    that, so no batch is asked for before it is needed.
    """
    if device.type != "cuda":
        return (batch.to(device) for batch in batches)
    return _copied_ahead(batches, device)


def _copied_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    copies = torch.cuda.Stream(device)

    def begun(batch: Batch) -> tuple[Batch, torch.Event]:
        with torch.cuda.stream(copies):
            there = batch.to(device)
        return there, copies.record_event()

    def arrived(batch: Batch, copied: torch.Event) -> Batch:
        computing = torch.cuda.current_stream(device)
        computing.wait_event(copied)
        for tensor in batch.tensors():
            tensor.record_stream(computing)  # or its memory might take another batch's copy too early
        return batch

    coming = None
    for batch in batches:
        before, coming = coming, begun(batch)
        if before is not None:
            yield arrived(*before)
    if coming is not None:
        yield arrived(*coming)
