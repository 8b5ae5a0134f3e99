"""A network for inference: the same function of an image, sooner."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from captioner.kernels.depthwise import DepthwiseConvolution, PaddedDepthwiseConvolution
from captioner.kernels.onednn import has_onednn, is_for_onednn
from captioner.kernels.padded import PaddedConvolution
from captioner.kernels.precision import operand

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)
ONEDNN = dict(zip(ACTIVATIONS, ("relu", "hardtanh", "hardswish", "swish")))  # their names there

CONVOLUTIONS = (nn.Conv2d, DepthwiseConvolution, PaddedConvolution, PaddedDepthwiseConvolution)
TOLERANCE = 1e-3  # of the largest value


@torch.no_grad()
def folded(stages: nn.Sequential, example: Tensor) -> nn.Sequential:
    """The stages of a network, in eval mode, as the same function that takes less time.

    Each BatchNorm is folded into the convolution before it. Where there is oneDNN it is given convolutions
    whose weights are laid out once, and the activations after them with them. Other activations overwrite
    their input, unless it is a stage's, which is the caller's.

    Modules are taken to run in the order in which they stand, as in torchvision's networks. Both forms are
    compared on ``example``; where they differ, or folding fails, the stages are returned as they were.
    """
    wanted = stages(example)
    try:
        fast = deepcopy(stages)
        for stage in fast:
            _fold(stage)
        found = deepcopy(fast)(example)  # a copy, as weights are laid out for the first batch's size
    except Exception:  # modules that others wrote do what they like with their children
        return stages
    return fast if (found - wanted).abs().max() <= TOLERANCE * wanted.abs().max() else stages


def _fold(stage: nn.Module) -> None:
    for parent in list(stage.modules()):
        _fold_batch_norms(parent)
        _fold_activations(parent)
    first = next((m for m in stage.modules() if not list(m.children())), None)
    for module in stage.modules():
        if type(module) in ACTIVATIONS:
            module.inplace = module is not first  # type: ignore[assignment]


class FoldedConvolution(nn.Module):
    """A convolution and the activation after it in one pass of oneDNN's, without gradients."""

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module | None) -> None:
        super().__init__()
        self.convolution, self.activation = convolution, activation
        self._pad = getattr(convolution, "pad", None)
        self._name = "none" if activation is None else ONEDNN[type(activation)]
        self._limits = [0.0, 6.0] if isinstance(activation, nn.ReLU6) else []
        self._laid_out: dict[torch.dtype, tuple[Tensor, Tensor | None]] = {}  # with the bias

    def forward(self, x: Tensor) -> Tensor:
        c, x = self.convolution, operand(x)
        if not is_for_onednn(x):
            return c(x) if self.activation is None else self.activation(c(x))
        if self._pad is not None:
            x = F.pad(x, self._pad)
        shape = (c.padding, c.stride, c.dilation, c.groups)
        if x.dtype not in self._laid_out:
            weight = torch.ops.mkldnn._reorder_convolution_weight(c.weight.to(x.dtype), *shape, x.shape)
            self._laid_out[x.dtype] = weight, None if c.bias is None else c.bias.to(x.dtype)
        weight, bias = self._laid_out[x.dtype]
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, *shape, self._name, self._limits, ""
        )
        return result


def _fold_batch_norms(parent: nn.Module) -> None:
    for (name, convolution), (norm_name, norm) in pairwise(list(parent.named_children())):
        if not _is_convolution(convolution):
            continue
        if _is_norm_and_activation(norm):
            fused = _fused(convolution, norm)
            follows = type(norm.act) in ACTIVATIONS and _is_for_onednn(convolution)
            setattr(parent, name, FoldedConvolution(fused, norm.act) if follows else fused)
            setattr(parent, norm_name, nn.Identity() if follows else norm.act)
        elif type(norm) is nn.BatchNorm2d:
            setattr(parent, name, _fused(convolution, norm))
            setattr(parent, norm_name, nn.Identity())


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    fused = fuse_conv_bn_eval(convolution, norm)
    return fused.to(memory_format=torch.channels_last)


def _is_norm_and_activation(module: nn.Module) -> TypeGuard[Any]:
    """Whether it is timm's BatchNorm that brings its own activation, and nothing else of effect."""
    kind = type(module)
    ours = kind.__name__ == "BatchNormAct2d" and kind.__module__.startswith("timm.")
    return ours and isinstance(module.drop, nn.Identity)


def _fold_activations(parent: nn.Module) -> None:
    children = [(name, m) for name, m in parent.named_children() if not isinstance(m, nn.Identity)]
    for (name, convolution), (next_name, following) in pairwise([*children, ("", nn.Identity())]):
        if _is_convolution(convolution) and _is_for_onednn(convolution):
            activation = None
            # in other modules the convolution's output may be used otherwise, or the activation again
            if isinstance(parent, nn.Sequential) and type(following) in ACTIVATIONS:
                activation = following
                setattr(parent, next_name, nn.Identity())
            setattr(parent, name, FoldedConvolution(convolution, activation))


def _is_convolution(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is that and nothing else: a subclass may pad by itself, or bring its own activation."""
    return type(module) in CONVOLUTIONS


def _is_for_onednn(convolution: nn.Conv2d) -> bool:
    return (
        convolution.weight.device.type == "cpu"
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and has_onednn()
    )
