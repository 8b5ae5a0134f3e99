"""What steps come to, on its way from a GPU to the host, which meanwhile queues the next step."""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor

from captioner.errors import DivergedError
from captioner.training.loss import Loss
from captioner.training.progress import Progress


class Figures:
    """A step's loss and the norm of its gradient; their transfer begins here.

    Args:
        loss: of the whole batch.
        images: how many the batch has.
    """

    def __init__(self, loss: Loss, norm: Tensor, images: int) -> None:
        self.images, self._loss = images, loss
        values = (loss.total, loss.nll, loss.penalty, norm)
        there = torch.stack([value.detach().to(norm.device) for value in values])
        self._values = there.to("cpu", non_blocking=there.is_cuda)
        self._arrival = torch.cuda.current_stream(there.device).record_event() if there.is_cuda else None

    def read(self) -> tuple[Loss, float]:
        """The loss and the norm, once they are here."""
        if self._arrival is not None:
            self._arrival.synchronize()
        total, nll, penalty, norm = self._values
        return self._loss._replace(total=total, nll=nll, penalty=penalty), norm.item()


class Unread:
    """The steps that progress does not know yet, in order.

    Args:
        most: how many there may be while training goes on.
    """

    def __init__(self, most: int) -> None:
        self._most, self._steps = most, deque[Figures]()

    def add(self, step: Figures, progress: Progress) -> None:
        """Count the steps that are due, this one too if none may stay unread.

        Raises:
            DivergedError: one of them was no longer finite.
        """
        self._steps.append(step)
        self._count(progress, self._most)

    def settle(self, progress: Progress) -> None:
        """Count all steps: what is kept or validated has to know that each was finite.

        Raises:
            DivergedError: one was not.
        """
        self._count(progress, 0)

    def _count(self, progress: Progress, left: int) -> None:
        while len(self._steps) > left:
            step, sums = self._steps.popleft(), progress.sums
            loss, norm = step.read()
            if not math.isfinite(loss.total.item() + norm):
                raise DivergedError(
                    f"training: the loss is no longer finite (epoch {progress.epoch + 1}, step "
                    f"{sums.steps + 1}, loss {loss.total.item():g}); lower optimizer.learning_rate or "
                    "training.clip_norm"
                )
            sums.add(loss, step.images, norm)


def most_unread(device: torch.device, waits: bool) -> int:
    """How many steps may be unread: on a GPU one, so that there is always another to work on.

    Args:
        waits: whether steps read values themselves, as self-critical ones do of their samples.
    """
    return int(device.type == "cuda" and not waits)
