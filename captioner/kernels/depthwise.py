"""Depthwise convolutions that train in float32 on a CPU.

Where they are strided or their kernels larger than three, oneDNN's gradient in bfloat16 takes two to fifteen
times as long as that in float32. Other convolutions gain from bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from captioner.kernels.padded import PaddedConvolution


class DepthwiseConvolution(nn.Conv2d):
    """What it is made from, with the same weights; under autocast its gradients are taken in float32."""

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> DepthwiseConvolution:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        shape = {name: getattr(convolution, name) for name in (*names, "padding_mode")}
        made = cls(**shape, bias=convolution.bias is not None, device="meta")
        made.weight, made.bias = convolution.weight, convolution.bias
        if isinstance(made, PaddedConvolution) and isinstance(convolution, PaddedConvolution):
            made.pad = convolution.pad
        return made

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class PaddedDepthwiseConvolution(PaddedConvolution, DepthwiseConvolution):
    """The same of one that pads its input, which it does before the change of precision."""


IN_SINGLE: dict[type[nn.Module], type[DepthwiseConvolution]] = {
    nn.Conv2d: DepthwiseConvolution,
    PaddedConvolution: PaddedDepthwiseConvolution,
}


def train_depthwise_in_single(network: nn.Module) -> None:
    """Change the trained convolutions that gain from it, in place; the network's state keeps its names."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) not in IN_SINGLE or not isinstance(child, nn.Conv2d):
                continue
            if child.weight.requires_grad and _is_slow_in_half(child):
                setattr(parent, name, IN_SINGLE[type(child)].of(child))


def _is_slow_in_half(convolution: nn.Conv2d) -> bool:
    depthwise = convolution.groups == convolution.in_channels > 1
    return depthwise and (max(convolution.stride) > 1 or max(convolution.kernel_size) > 3)
