"""A gradient summed in place over the steps of an unrolled decoder.

Every step scores the same keys. Autograd would make a gradient of their size at each step and add them up;
here each step's backward adds to one buffer, and the first step's, which runs last, hands it over. So every
step must depend on what came of the step before, as those of a recurrent network do.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Tally:
    """The gradient of one tensor, for one forward and backward pass."""

    def __init__(self) -> None:
        self.steps = 0
        self._sum: Tensor | None = None

    def begin(self) -> bool:
        """Tell it of a step's forward; whether it is the first."""
        self.steps += 1
        return self.steps == 1

    def part(self, like: Tensor, count: int) -> Tensor:
        """What the gradient is so far for the first ``count`` rows of a tensor, to be added to in place."""
        if self._sum is None:
            self._sum = torch.zeros_like(like)
        return self._sum[:count]

    def hand_over(self, first: bool) -> Tensor | None:
        """The sum to the first step's backward, None to the others."""
        if not first:
            return None
        total, self._sum = self._sum, None
        return total
