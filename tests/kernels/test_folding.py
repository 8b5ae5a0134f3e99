"""What folds is the same function, and what would be another function stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.kernels.folding import FoldedConvolution, folded
from captioner.kernels.onednn import has_onednn


class NormWithActivation(nn.BatchNorm2d):
    """As PyTorch Image Models has them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class PaddingConvolution(nn.Conv2d):
    """Pads below and on the right, as TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class OutOfOrder(nn.Module):
    """Its children do not run in the order in which they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.convolution(self.norm(x))
        return output


class Shared(nn.Module):
    """Takes the convolution's output twice: before and after its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        output: Tensor = x + self.norm(x)
        return output


class Reader(nn.Module):
    """Reads its convolution's weight, which a folded one does not have in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.convolution(x) * self.convolution.weight.mean()
        return output


def network(*modules: nn.Module) -> nn.Sequential:
    """One stage with norms that do something, in eval mode."""
    stages = nn.Sequential(nn.Sequential(*modules)).eval().requires_grad_(False)
    for module in stages.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return stages.to(memory_format=torch.channels_last)


def example() -> Tensor:
    return torch.randn(1, 4, 9, 9).contiguous(memory_format=torch.channels_last)


def kinds(network: nn.Module) -> list[type]:
    return [type(module) for module in network.modules()]


def test_convolution_norm_and_activation_become_one() -> None:
    plain = network(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
    fast, x = folded(plain, example()), torch.randn(3, 4, 9, 9)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-4, atol=1e-5)
    assert nn.BatchNorm2d not in kinds(fast)
    assert (FoldedConvolution in kinds(fast)) == has_onednn()


@pytest.mark.parametrize(
    "modules",
    [
        (nn.Conv2d(4, 6, 3), NormWithActivation(6)),
        (PaddingConvolution(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
        (OutOfOrder(), nn.ReLU()),
        (Shared(),),
        (Reader(),),
    ],
    ids=["norm with activation", "convolution that pads", "out of order", "shared", "reader"],
)
def test_what_does_not_fold_stays_the_same_function(modules: tuple[nn.Module, ...]) -> None:
    plain, x = network(*modules), torch.randn(3, 4, 9, 9)
    wanted = plain(x)
    torch.testing.assert_close(folded(plain, example())(x), wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(plain(x), wanted)
