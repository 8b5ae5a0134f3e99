"""The effective receptive field, of networks whose field is known."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from support import tiny
from torch import nn

from captioner.checkpoint.file import load_checkpoint
from captioner.evaluation.grounding.receptive_field import receptive_field
from captioner.model.encoder import Encoder

SIDE = 32


def encoder(*layers: nn.Module) -> Encoder:
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1.0)
    return Encoder(OrderedDict(all=nn.Sequential(*layers)), SIDE, [0.0] * 3, [1.0] * 3).eval()


def pixels(images: int = 2) -> torch.Tensor:
    shape = (images, 3, SIDE, SIDE)
    return torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_patches_see_their_own_cell_alone() -> None:
    found = receptive_field(encoder(nn.Conv2d(3, 5, 8, stride=8)), pixels())
    assert found.own_cell == pytest.approx(1) and found.cell == 1 / 16 and found.images == 2
    assert 0.1 < found.half <= found.most <= 0.25


def test_each_pixel_of_a_wide_kernel_matters_alike() -> None:
    found = receptive_field(encoder(nn.Conv2d(3, 5, 24, stride=8, padding=8)), pixels())
    assert found.own_cell == pytest.approx(1 / 9)
    assert found.half == pytest.approx(0.75 * 0.5**0.5, abs=0.05)  # a square of half the area
    assert found.most == pytest.approx(0.75 * 0.9**0.5, abs=0.05)


def test_whole_image_seen_alike_has_the_cells_share() -> None:
    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)

    found = receptive_field(encoder(Mean()), pixels())
    assert found.own_cell == pytest.approx(found.cell) == 1 / 16


def test_frozen_stages_are_seen_through_and_nothing_is_left() -> None:
    model = load_checkpoint(tiny.model_file()).model
    side = model.encoder.image_size
    photos = torch.randint(256, (1, 3, side, side), dtype=torch.uint8)
    with torch.inference_mode():
        found = receptive_field(model.encoder.eval(), photos)
    assert 0 < found.own_cell <= 1 and 0 < found.half <= found.most
    assert all(parameter.grad is None for parameter in model.parameters())
