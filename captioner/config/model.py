"""What rebuilds a model: cell, attention, decoder, encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from captioner.config.required import REQUIRED


@dataclass
class CellConfig:
    """Which recurrent cell the decoder runs on."""

    name: str = REQUIRED


@dataclass
class VanillaConfig(CellConfig):
    name: str = "vanilla"


@dataclass
class LSTMConfig(CellConfig):
    name: str = "lstm"
    forget_bias: float = 1.0  # initial bias of the forget gate (Jozefowicz et al. 2015)


@dataclass
class PeepholeConfig(LSTMConfig):
    name: str = "peephole"


@dataclass
class CoupledConfig(LSTMConfig):
    name: str = "coupled"


@dataclass
class GRUConfig(CellConfig):
    name: str = "gru"
    reset_after: bool = False  # true: the form of torch.nn.GRUCell


@dataclass
class AttentionConfig:
    """How the decoder looks at the image."""

    name: str = REQUIRED
    score: str = "additive"  # additive or multiplicative
    size: int = 512  # width of the scoring network
    penalty: float = 1.0  # lambda of the doubly stochastic penalty (section 4.2.1)


@dataclass
class SoftAttentionConfig(AttentionConfig):
    name: str = "soft"


@dataclass
class HardAttentionConfig(AttentionConfig):
    name: str = "hard"
    penalty: float = 0.0
    inference: str = "argmax"  # location at test time: argmax, expectation or sample
    expectation_probability: float = 0.5  # how often training replaces a sample by its expectation
    soft_start: float = 0.5  # share of the epochs, the first ones, in which it always does
    baseline_decay: float = 0.9
    reinforce_weight: float = 0.1  # lambda_r of section 4.1
    entropy_weight: float = 0.002  # lambda_e of section 4.1


@dataclass
class DecoderConfig:
    embedding_size: int = 512
    hidden_size: int = 512
    gate: str = "scalar"  # beta: none, scalar (the paper's) or vector
    deep_output: bool = True
    dropout: float = 0.5  # on the hidden state and the deep output
    input_dropout: float = 0.0  # on the word vectors and the annotations


@dataclass
class EncoderConfig:
    """Which network turns pixels into annotations, and what it wants the pixels to look like."""

    name: str = REQUIRED
    weights: str | None = None  # imagenet, a .safetensors or .pth state dict, or null
    image_size: int = 224
    resize: str = "crop"  # crop: the centre square; squash: the whole photo made square
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    fine_tune: Any = False  # false, or the name of the first stage that is trained
    last_stage: str | None = None  # whose output are the annotations; null: the network's last


@dataclass
class ModelConfig:
    """All that rebuilds a model, apart from its vocabulary and its weights."""

    encoder: EncoderConfig
    cell: CellConfig
    attention: AttentionConfig
    decoder: DecoderConfig
