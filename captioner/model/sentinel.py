"""What a decoder can look at instead of the image: a sentinel, made of its own memory (Lu et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.kernels.linear import Linear
from captioner.model.cells import State


class VisualSentinel(nn.Module):
    """s_t = sigmoid(W_x x_t + W_h h_{t-1}) tanh(c_t) (arXiv 1612.01887, equations 9 and 10).

    Words such as *of* follow from the words before. The attention scores the sentinel beside the locations,
    and the weight beta_t that it gets is how little such a word needs a look.

    Args:
        input_size: width of x, what the cell reads.
        hidden_size: width of h, of the cell's memory c and of s.
        key_size: width of what the attention scores.
    """

    def __init__(self, input_size: int, hidden_size: int, key_size: int) -> None:
        super().__init__()
        self.input_map = nn.Linear(input_size, hidden_size, bias=False)
        self.hidden_map = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.key_map = nn.Linear(hidden_size, key_size)
        nn.init.xavier_uniform_(self.input_map.weight)
        nn.init.orthogonal_(self.hidden_map)

    def forward(self, inputs: Tensor, before: State, after: State, linear: Linear = F.linear) -> Tensor:
        """s ``(rows, hidden_size)`` of x ``(rows, input_size)`` and the state before and after the step."""
        gate = torch.sigmoid(linear(inputs, self.input_map.weight) + linear(before[0], self.hidden_map))
        return gate * torch.tanh(after[1])
