"""Choices that exclude each other, or of which one would do nothing beside another."""

from __future__ import annotations

from captioner.config.model import HardAttentionConfig, ModelConfig
from captioner.errors import CaptionerError
from captioner.model.cells import CELLS


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
    if not attention.sentinel:
        return
    if not attention.after_step:
        raise CaptionerError(
            "attention.sentinel: it is made in the cell's step, and the look is before it; give "
            "attention.after_step=true"
        )
    if isinstance(attention, HardAttentionConfig):
        raise CaptionerError("attention.sentinel: it is for soft attention, and attention=hard")
    if CELLS[config.cell.name].states < 2:
        with_memory = ", ".join(name for name, cell in CELLS.items() if cell.states > 1)
        raise CaptionerError(
            f"attention.sentinel: it is made of the cell's memory, and cell={config.cell.name} has none; "
            f"choose {with_memory}"
        )
    if decoder.gate != "none":
        raise CaptionerError(
            f"attention.sentinel: it takes the place of the gate beta, and decoder.gate={decoder.gate}; give "
            "decoder.gate=none"
        )
