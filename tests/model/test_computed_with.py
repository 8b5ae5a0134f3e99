"""Which options decide what given weights compute, tried on every one of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields
from typing import Any

import pytest
import torch

from captioner.config.declare import declarations
from captioner.config.model import (
    DecoderConfig,
    EncoderConfig,
    GRUConfig,
    HardAttentionConfig,
    LSTMConfig,
    ModelConfig,
    SoftAttentionConfig,
)
from captioner.data.photos.preprocess import Preprocess
from captioner.errors import CaptionerError
from captioner.kernels.compiler import use_compiler
from captioner.model.captioner import Captioner, build_model
from captioner.model.rows import Captions
from captioner.training.adaptation import OF_CONFIGURATION

WORDS = 9
OTHER: dict[str, Any] = {  # where the type does not say what else there is
    "variant": "niaf",
    "embedding": "vectors.txt",
    "weights": "weights.pth",
    "last_stage": "stage2",
    "local": "stage1",
    "mean": [0.1, 0.2, 0.3],
    "std": [0.1, 0.2, 0.3],
    "image_size": 40,
    "inference": "argmax",
}
PARTS: dict[str, tuple[Any, ...]] = {
    "encoder": (EncoderConfig("small", None, 32),),
    "cell": (LSTMConfig(), GRUConfig()),
    "attention": (SoftAttentionConfig(size=4), HardAttentionConfig(size=4, inference="expectation")),
    "decoder": (DecoderConfig(3, 4),),
}
OPTIONS = [
    (group, part, of.name, declared)
    for group, parts in PARTS.items()
    for part in parts
    for of, declared in declarations(type(part))
    if of.name not in ("name", "library")  # the network itself
]


def other_value(part: Any, name: str, declared: Any) -> Any:
    present = getattr(part, name)
    if name in OTHER:
        return OTHER[name]
    if isinstance(present, bool):
        return not present
    if declared.choices:
        return next(choice for choice in declared.choices if choice != present)
    return present + 1 if isinstance(present, int) else present / 2 + 0.1


@torch.no_grad()
def computed(config: ModelConfig, like: Captioner | None) -> tuple[Captioner, Any]:
    """A model, with the weights of another one if it is given, and what it sees and says of an image."""
    use_compiler(False)
    torch.manual_seed(0)
    model = build_model(config, WORDS, load_encoder_weights=False).eval()
    if like is not None:
        own = {k: v for k, v in model.state_dict().items() if k in OF_CONFIGURATION}
        model.load_state_dict(like.state_dict() | own)
    side = config.encoder.image_size
    assert side is not None
    pixels = torch.randint(256, (1, 3, side, side), generator=torch.Generator().manual_seed(1))
    captions = Captions.build([[[4, 5, 6, 7]]])
    features = model.encoder.trunk(pixels.to(torch.uint8))
    return model, (Preprocess.of(config.encoder), model.decoder.logits(model(features, captions).steps))


@pytest.mark.parametrize(
    ("group", "part", "name", "declared"),
    OPTIONS,
    ids=[f"{group}-{type(part).__name__}-{name}" for group, part, name, _ in OPTIONS],
)
def test_an_option_for_training_alone_changes_nothing(
    group: str, part: Any, name: str, declared: Any
) -> None:
    config = ModelConfig(*(parts[0] for parts in PARTS.values()))
    config = deepcopy(config)
    setattr(config, group, deepcopy(part))
    model, (preprocess, logits) = computed(config, None)
    setattr(getattr(config, group), name, other_value(part, name, declared))
    try:
        _, (preprocess_now, logits_now) = computed(config, model)
    except (CaptionerError, RuntimeError):  # other parts are needed, or tensors of other shapes
        assert not declared.trains
        return
    same = preprocess == preprocess_now and torch.equal(logits, logits_now)
    assert same == declared.trains


def test_every_part_has_been_tried() -> None:
    assert list(PARTS) == [of.name for of in fields(ModelConfig)]
