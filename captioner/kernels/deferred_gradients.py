"""The gradient of an operand that every step of a loop uses, taken once, after the loop.

Autograd makes a gradient of the operand's size at each step and adds them up, which moves far more memory
than it does arithmetic. The kernels keep what backward meets at each step instead, and hand over one sum.

The backward of the first use has to run last, to know all that was met. It does if every use depends on the
uses before it, as the steps of a recurrent network do. It also does if all uses are part of one loss, since
autograd takes what is ready in the reverse order of its making: so with looks that nothing later depends on.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class SummedGradient(Generic[T]):
    """What backward has met of one operand; forward and backward passes must alternate."""

    def __init__(self) -> None:
        self._used = False
        self.met: list[T] = []

    def begin(self) -> bool:
        """Note a use in the forward pass; whether it is the first, whose backward calls :meth:`take`."""
        first, self._used = not self._used, True
        return first

    def take(self) -> list[T]:
        """All that was met in this pass; the next use is the first of another."""
        taken, self.met, self._used = self.met, [], False
        return taken
