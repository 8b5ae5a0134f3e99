"""The processes that train one model together: one each GPU, or one each share of a CPU's cores.

A launcher such as torchrun starts them and numbers them: their ranks. Each computes what is drawn for a whole
batch, order, captions, mirror images and windows, and takes its share of the images; gradients, and all that
decides how the run goes on, are reduced over all. So every rank comes to the same decisions at the same step.
Rank 0 alone owns the run folder.
"""

from __future__ import annotations

import math
import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from captioner.errors import CaptionerError
from captioner.features.split import Split
from captioner.system.device import choose_device
from captioner.system.signals import Stop, Stopped
from captioner.training.loss import Loss

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train one model; the default is one process, which communicates nothing.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        local_rank, local_size: the same among those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this one owns the run folder, and talks."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.size > 1

    def device(self, name: str) -> torch.device:
        """The device that ``run.device`` names; of several ranks on a machine with GPUs each has its own.

        Raises:
            CaptionerError: there is no such device, or there are fewer GPUs than ranks.
        """
        if not self.several:
            return choose_device(name)
        if name not in ("auto", "cpu", "cuda"):
            raise CaptionerError(
                f"run.device: {name!r} cannot be the device of {self.size} processes; give auto, cpu or "
                "cuda: each process then takes the GPU of its number"
            )
        if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
            return torch.device("cpu")
        gpus = torch.cuda.device_count()
        if name == "cuda" and not gpus:
            return choose_device(name)  # which says why not
        if self.local_rank >= gpus:
            raise CaptionerError(
                f"run.device: {self.local_size} processes were started on this machine, which has {gpus} "
                f"GPUs; give torchrun --nproc-per-node {gpus}, or run.device=cpu"
            )
        device = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(device)
        return device

    @contextmanager
    def all_cores(self) -> Iterator[None]:
        """The threads of all ranks of this machine, for work that one does while the others wait."""
        threads = torch.get_num_threads()
        if self.several:
            torch.set_num_threads(min(threads * self.local_size, os.cpu_count() or 1))
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def together(self, objective: nn.Module, buffers: bool) -> nn.Module:
        """The module, whose gradients are then the mean of all ranks' once ``backward`` has ended.

        Args:
            buffers: whether rank 0's are everybody's at every step.
        """
        if not self.several:
            return objective
        with warnings.catch_warnings():  # the argument has another name from torch 2.14 on
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(objective, broadcast_buffers=buffers)

    def reducing(self, step: nn.Module, last: bool) -> AbstractContextManager[None]:
        """The context of a part of a batch: only with its last one are gradients reduced over all ranks."""
        if isinstance(step, DistributedDataParallel) and not last:
            return step.no_sync()
        return nullcontext()

    def seed(self, seed: int, epoch: int, image: int) -> None:
        """Begin this rank's random stream of a step; one process alone has one stream for the whole run.

        Args:
            epoch, image: where the step's batch begins, which no number of ranks changes.
        """
        if self.several:
            torch.manual_seed(random.Random(f"{seed} {epoch} {image} {self.rank}").getrandbits(63))

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks."""
        if self.several:
            dist.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean of all ranks' values, of which this one may have none."""
        if not self.several:
            return values.mean()
        count = torch.full((), len(values), dtype=torch.float64, device=values.device)
        total = self.sum(torch.stack([values.double().sum(), count]))
        return (total[0] / total[1]).to(values.dtype)

    def summed(self, loss: Loss) -> Loss:
        """The loss of the whole batch, as far as it is told."""
        if not self.several:
            return loss
        total, nll, penalty = self.sum(torch.stack([loss.total, loss.nll, loss.penalty]).detach().double())
        counts = torch.tensor([loss.words, loss.captions, loss.reward or 0.0], dtype=torch.float64)
        words, captions, reward = self.sum(counts).tolist()  # on the hosts, which GPUs are not waited for
        told = None if loss.reward is None else reward
        return Loss(total, nll, penalty, int(words), int(captions), told)

    def check(self, stop: Stop) -> None:
        """Stop all ranks if a signal has reached one of them.

        Raises:
            Stopped: on every rank.
        """
        if not self.several:
            stop.check()
            return
        number = torch.tensor(stop.requested)
        dist.all_reduce(number, dist.ReduceOp.MAX)
        if number:
            raise Stopped(int(number))

    def from_first(self, value: T) -> T:
        """Rank 0's value."""
        if not self.several:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def each(self, value: T) -> list[T]:
        """Every rank's value."""
        values = [value] * self.size
        if self.several:
            dist.all_gather_object(values, value)
        return values

    def as_first(self, model: nn.Module) -> None:
        """Give the model rank 0's weights and statistics."""
        if self.several:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, 0)

    def share(self, split: Split, size: int) -> Split:
        """This rank's part of a split: whole batches of the size, so that they are those of one process."""
        if not self.several:
            return split
        begin, end = (min(len(split), size * count) for count in self._batches(len(split), size))
        return Split(split.records[begin:end], split.features[begin:end])

    def wait_for_batches(self, count: int, size: int, after_batch: Callable[[], None]) -> None:
        """Take part in what the ranks with one batch more than this one do after it."""
        if self.several:
            begin, end = self._batches(count, size)
            most = math.ceil(math.ceil(count / size) / self.size)
            for _ in range(end - begin, most):
                after_batch()

    def gathered(self, found: list[T]) -> list[T]:
        """All ranks' lists in one, on rank 0; on another its own."""
        if not self.several:
            return found
        parts: list[list[T]] = [[] for _ in range(self.size)]
        dist.gather_object(found, parts if self.first else None)
        return [one for part in parts for one in part] if self.first else found

    def wait(self) -> None:
        """Go on when all ranks have come here."""
        if self.several:
            dist.barrier()

    def _batches(self, count: int, size: int) -> tuple[int, int]:
        """The first of this rank's batches, and the one after its last."""
        batches = -(-count // size)
        return batches * self.rank // self.size, batches * (self.rank + 1) // self.size


ALONE = Ranks()
