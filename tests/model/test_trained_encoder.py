"""``encoder.weights=MODEL``: the encoder of a trained captioner under a new decoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny

from captioner.checkpoint.file import load_checkpoint
from captioner.errors import CaptionerError
from captioner.model.encoder import build_encoder
from captioner.model.trained_encoder import is_model_file


def test_encoder_is_that_of_the_model() -> None:
    model = load_checkpoint(tiny.model_file())
    config = replace(model.config.encoder, weights=str(tiny.model_file()))
    encoder = build_encoder(config)
    assert encoder.fingerprint() == model.model.encoder.fingerprint()
    pixels = torch.randint(0, 256, (2, 3, config.image_size or 0, config.image_size or 0), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(encoder.eval()(pixels), model.model.encoder(pixels))
        other = build_encoder(replace(config, weights=None)).eval()
        assert not torch.equal(other(pixels), model.model.encoder(pixels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.1, 0.2, 0.3]}, r"encoder\.mean is \[.*\], not \[0\.1, 0\.2, 0\.3\]"),
        ({"name": "small_stride4"}, "is of another network"),
    ],
)
def test_another_encoder_is_refused(change: dict[str, object], message: str) -> None:
    config = load_checkpoint(tiny.model_file()).config.encoder
    with pytest.raises(CaptionerError, match=rf"^encoder\.weights: .*{message}"):
        build_encoder(replace(config, weights=str(tiny.model_file()), **change))  # type: ignore[arg-type]


def test_other_files_are_no_models(tmp_path: Path) -> None:
    assert is_model_file(str(tiny.model_file()))
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")
    assert not any(map(is_model_file, (None, "a.pth", str(tmp_path / "a.safetensors"), str(tmp_path / "b"))))
