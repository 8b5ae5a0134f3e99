"""Convolutions that pad as TensorFlow's do ("same"): for one image size, as fixed padding.

For an even side such a convolution of stride 2 pads below and on the right only; where both sides get the
same, a plain convolution does it, which kernels and folding know.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from captioner.kernels.padded import PaddedConvolution


def with_fixed_padding(stages: OrderedDict[str, nn.Module], image_size: int) -> OrderedDict[str, nn.Module]:
    """The same stages, timm's convolutions of "same" padding replaced in place; weights keep their names."""
    from timm.layers import Conv2dSame

    if not any(isinstance(m, Conv2dSame) for stage in stages.values() for m in stage.modules()):
        return stages
    sides: dict[nn.Module, tuple[int, ...]] = {}

    def note(module: nn.Module, inputs: Any) -> None:
        sides[module] = tuple(inputs[0].shape[-2:])

    line = nn.Sequential(stages)
    handles = [m.register_forward_pre_hook(note) for m in line.modules() if isinstance(m, Conv2dSame)]
    modes = [(m, m.training) for m in line.modules()]
    weight = next(line.parameters())
    with torch.no_grad():
        line.eval()(torch.zeros(1, 3, image_size, image_size, device=weight.device, dtype=weight.dtype))
    for module, training in modes:
        module.training = training
    for handle in handles:
        handle.remove()
    for parent in list(line.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv2dSame):
                setattr(parent, name, _fixed(child, sides[child]))
    return OrderedDict(line.named_children())


def _fixed(convolution: nn.Conv2d, sides: tuple[int, ...]) -> nn.Conv2d:
    pads = []
    for i, side in enumerate(sides):
        stride, dilation, kernel = convolution.stride[i], convolution.dilation[i], convolution.kernel_size[i]
        total = max(0, (-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side)
        pads.append((total // 2, total - total // 2))
    even = all(before == after for before, after in pads)
    made = (nn.Conv2d if even else PaddedConvolution)(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        tuple(before for before, _ in pads) if even else 0,  # type: ignore[arg-type]
        convolution.dilation,  # type: ignore[arg-type]
        convolution.groups,
        convolution.bias is not None,
        device="meta",
    )
    made.weight, made.bias = convolution.weight, convolution.bias
    if isinstance(made, PaddedConvolution):
        (top, bottom), (left, right) = pads
        made.pad = (left, right, top, bottom)
    return made
