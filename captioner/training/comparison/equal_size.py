"""Decoders of different cells with the same number of weights."""

from __future__ import annotations

from dataclasses import replace

import torch

from captioner.config.model import ModelConfig
from captioner.model.captioner import build_decoder


def decoder_parameters(config: ModelConfig, features: int, vocabulary_size: int, local: int = 0) -> int:
    """How many trained weights the decoder has; nothing is allocated.

    Args:
        features: width of an annotation.
        local: how many of them the attention scores locations by, 0 for all.
    """
    with torch.device("meta"):
        decoder = build_decoder(config, features, vocabulary_size, local)
    return sum(parameter.numel() for parameter in decoder.parameters() if parameter.requires_grad)


def matching_width(
    config: ModelConfig, features: int, vocabulary_size: int, parameters: int, local: int = 0
) -> int:
    """The hidden size at which the configured decoder comes closest to so many weights.

    Everything else stays as configured. The count grows with the hidden size, so it is found by bisection.
    """

    def count(width: int) -> int:
        decoder = replace(config.decoder, hidden_size=width)
        return decoder_parameters(replace(config, decoder=decoder), features, vocabulary_size, local)

    low, high = 1, 2
    while count(high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    return min(low, high, key=lambda width: abs(count(width) - parameters))
