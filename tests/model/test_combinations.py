"""Choices of attention and decoder that exclude each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny

from captioner.checkpoint.file import Checkpoint, load_checkpoint, save_checkpoint
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
from captioner.config.search import SearchConfig
from captioner.decoding.search import search
from captioner.errors import CaptionerError
from captioner.model.captioner import build_decoder, build_model
from captioner.training.loop import train
from captioner.vocabulary import Vocabulary

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


def test_training_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    run = tiny.config(tmp_path)
    run.attention.sentinel = True
    with pytest.raises(CaptionerError, match=r"give attention\.after_step=true"):
        train(run, tmp_path / "run", report=tiny.silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cell", [GRUConfig(), VanillaConfig()])
def test_a_sentinel_needs_a_memory(cell: CellConfig) -> None:
    with pytest.raises(CaptionerError, match=rf"cell={cell.name} has none; choose lstm, peephole, coupled"):
        build(Soft(after_step=True, sentinel=True), cell, gate="none")


@pytest.mark.parametrize(
    ("look", "gate"),
    [
        (Soft(size=6, normalize="entmax15"), "scalar"),
        (Hard(size=6, after_step=True), "vector"),
        (Soft(size=6, after_step=True, sentinel=True), "none"),
    ],
)
def test_a_model_file_brings_the_look_back(tmp_path: Path, look: Any, gate: str) -> None:
    if look.normalize != "softmax":
        pytest.importorskip("entmax")
    encoder = EncoderConfig("small", image_size=32)
    config = ModelConfig(encoder, LSTMConfig(), look, DecoderConfig(**SMALL, gate=gate))
    vocabulary, path = Vocabulary(["a", "dog", "runs"]), tmp_path / "model.safetensors"
    model = build_model(config, len(vocabulary)).eval()
    save_checkpoint(Checkpoint(model, vocabulary, config), path)
    annotations = torch.randn(2, 16, model.encoder.features)
    read = load_checkpoint(path)
    assert read.config == config
    ours, theirs = (
        search(m.decoder, annotations, SearchConfig(max_length=4), attention=True)
        for m in (model, read.model.eval())
    )
    for one, other in zip(ours, theirs):
        assert one[0].words == other[0].words
        assert torch.equal(one[0].attention, other[0].attention)
        assert torch.equal(one[0].betas, other[0].betas)


def test_configuration_reaches_the_look() -> None:
    assert build(Soft(after_step=True)).attention.after_step
    assert not build(Soft()).attention.after_step
    assert build(Soft(after_step=True, sentinel=True), gate="none").sentinel is not None
