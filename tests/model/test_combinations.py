"""Choices of attention and decoder that exclude each other."""

from __future__ import annotations

from typing import Any

import pytest

from captioner.config.model import (
    CellConfig,
    DecoderConfig,
    EncoderConfig,
    GRUConfig,
    LSTMConfig,
    ModelConfig,
    VanillaConfig,
)
from captioner.config.model import HardAttentionConfig as Hard
from captioner.config.model import SoftAttentionConfig as Soft
from captioner.errors import CaptionerError
from captioner.model.captioner import build_decoder

SMALL = {"embedding_size": 3, "hidden_size": 4}


def build(attention: Any, cell: CellConfig | None = None, **decoder: Any) -> Any:
    parts = EncoderConfig("small"), cell or LSTMConfig(), attention, DecoderConfig(**SMALL, **decoder)
    return build_decoder(ModelConfig(*parts), 5, 9)


@pytest.mark.parametrize(
    ("attention", "decoder", "message"),
    [
        (Soft(after_step=True, sees_word=True), {}, r"attention\.sees_word: with attention\.after_step the"),
        (Soft(after_step=True), {"deep_output": False}, r"attention\.after_step: .* decoder\.deep_output=f"),
        (Soft(sentinel=True), {"gate": "none"}, r"attention\.sentinel: .*give attention\.after_step=true"),
        (Soft(after_step=True, sentinel=True), {}, r"attention\.sentinel: .*give decoder\.gate=none"),
        (Hard(after_step=True, sentinel=True), {"gate": "none"}, r"attention\.sentinel: .* attention=hard"),
    ],
)
def test_what_excludes_each_other_is_refused(attention: Any, decoder: Any, message: str) -> None:
    with pytest.raises(CaptionerError, match=message):
        build(attention, **decoder)


@pytest.mark.parametrize("cell", [GRUConfig(), VanillaConfig()])
def test_a_sentinel_needs_a_memory(cell: CellConfig) -> None:
    with pytest.raises(CaptionerError, match=rf"cell={cell.name} has none; choose lstm, peephole, coupled"):
        build(Soft(after_step=True, sentinel=True), cell, gate="none")


def test_configuration_reaches_the_look() -> None:
    assert build(Soft(after_step=True)).attention.after_step
    assert not build(Soft()).attention.after_step
    assert build(Soft(after_step=True, sentinel=True), gate="none").sentinel is not None
