"""A convolution that pads more on one side than on the other, as TensorFlow's strided ones do."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PaddedConvolution(nn.Conv2d):
    """A convolution of an input that is first padded: left, right, top, bottom."""

    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pad))
