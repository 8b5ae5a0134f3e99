"""Choices of attention and decoder that exclude each other."""

from __future__ import annotations

from typing import Any

import pytest

from captioner.config.model import CellConfig, DecoderConfig, EncoderConfig, LSTMConfig, ModelConfig
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
    ],
)
def test_what_excludes_each_other_is_refused(attention: Any, decoder: Any, message: str) -> None:
    with pytest.raises(CaptionerError, match=message):
        build(attention, **decoder)


def test_configuration_reaches_the_look() -> None:
    assert build(Soft(after_step=True)).attention.after_step
    assert not build(Soft()).attention.after_step
