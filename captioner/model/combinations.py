"""Choices that exclude each other, or of which one would do nothing beside another."""

from __future__ import annotations

from captioner.config.model import ModelConfig
from captioner.errors import CaptionerError


def check_combination(config: ModelConfig) -> None:
    """Refuse a decoder whose parts do not go together.

    Raises:
        CaptionerError: names the value, what it contradicts and what to give instead.
    """
    attention, decoder = config.attention, config.decoder
    if attention.after_step and attention.sees_word:
        raise CaptionerError(
            "attention.sees_word: with attention.after_step the hidden state has seen the word already; give "
            "one of them"
        )
    if attention.after_step and not decoder.deep_output:
        raise CaptionerError(
            "attention.after_step: what is seen goes to the deep output alone, and decoder.deep_output=false"
        )
