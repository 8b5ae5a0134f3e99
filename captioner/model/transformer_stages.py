"""A vision transformer as a line of stages whose last output is a grid of patch tokens.

Dosovitskiy et al. 2021. Class and register tokens take part in every block and are left out at the end.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn


class Patches(nn.Module):
    """``(N, 3, S, S)`` pixels to ``(N, tokens, D)``, with positions and prefix tokens."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = nn.Module()  # holds the parts that the two methods below read
        for name in ("patch_embed", "pos_drop", "patch_drop", "norm_pre"):
            setattr(self.network, name, getattr(network, name))
        for name in ("cls_token", "reg_token", "pos_embed"):
            setattr(self.network, name, getattr(network, name, None))
        for name in ("no_embed_class", "dynamic_img_size", "num_prefix_tokens"):
            setattr(self.network, name, getattr(network, name))
        self._position = type(network)._pos_embed

    def forward(self, pixels: Tensor) -> Tensor:
        parts: Any = self.network
        tokens = self._position(parts, parts.patch_embed(pixels))
        normed: Tensor = parts.norm_pre(parts.patch_drop(tokens))
        return normed


class Grid(nn.Module):
    """``(N, tokens, D)`` to ``(N, D, rows, columns)``: the patch tokens, normalized, in their places."""

    def __init__(self, norm: nn.Module, prefix: int, rows: int, columns: int) -> None:
        super().__init__()
        self.norm, self.prefix, self.rows, self.columns = norm, prefix, rows, columns

    def forward(self, tokens: Tensor) -> Tensor:
        patches: Tensor = self.norm(tokens)[:, self.prefix :]
        return patches.transpose(1, 2).unflatten(2, (self.rows, self.columns))


def transformer_stages(network: Any) -> OrderedDict[str, nn.Module]:
    """The stages ``patches``, ``blocks_0`` to the last, and ``grid``."""
    rows, columns = network.patch_embed.grid_size
    blocks = {f"blocks_{i}": block for i, block in enumerate(network.blocks)}
    grid = Grid(network.norm, network.num_prefix_tokens, rows, columns)
    return OrderedDict(patches=Patches(network), **blocks, grid=grid)
