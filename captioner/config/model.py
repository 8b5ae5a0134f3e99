"""What rebuilds a model: cell, attention, decoder, encoder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from captioner.config.declare import REQUIRED, declarations, value

WIDEST = 2**14  # weights grow with the square, and more would be a slip of the keyboard
LAYER_NORM = "normalize every sum before its gate (Ba et al. 2016)"
INFERENCE = ("argmax", "expectation", "sample")
NORMALIZATIONS = ("softmax", "sparsemax", "entmax15")


@dataclass
class CellConfig:
    """The recurrent cell that the decoder runs on."""

    name: str = value(REQUIRED, "recurrent cell", group="cell")


@dataclass
class VanillaConfig(CellConfig):
    """Elman network."""

    name: str = value("vanilla", "Elman network", group="cell")


@dataclass
class ForgetGateConfig(CellConfig):
    """A cell with a forget gate."""

    forget_bias: float = value(1.0, "initial bias of the forget gate (Jozefowicz et al. 2015)", trains=True)


@dataclass
class LSTMConfig(ForgetGateConfig):
    """Long short-term memory with a forget gate."""

    name: str = value("lstm", "long short-term memory", group="cell")
    variant: str | None = value(
        None,
        "of Greff et al. 2017: no input, forget or output gate, no input or output activation function, full "
        "gate recurrence",
        among=("nig", "nfg", "nog", "niaf", "noaf", "fgr"),
    )
    layer_norm: bool = value(False, LAYER_NORM)


@dataclass
class PeepholeConfig(ForgetGateConfig):
    """LSTM whose gates see the memory."""

    name: str = value("peephole", "LSTM whose gates see the memory", group="cell")


@dataclass
class CoupledConfig(ForgetGateConfig):
    """LSTM whose input gate is one minus its forget gate."""

    name: str = value("coupled", "LSTM with coupled input and forget gates", group="cell")


@dataclass
class GRUConfig(CellConfig):
    """Gated recurrent unit."""

    name: str = value("gru", "gated recurrent unit", group="cell")
    reset_after: bool = value(False, "reset after the matrix product, as torch.nn.GRUCell does")
    layer_norm: bool = value(False, LAYER_NORM)


@dataclass
class AttentionConfig:
    """How the decoder looks at the image: how a location is scored, and what is seen."""

    name: str = value(REQUIRED, "expectation over locations, or one of them", group="attention")
    score: str = value(
        "additive",
        "score of a location: v . tanh(W a + U h), the paper's, or h . W a / sqrt(hidden_size)",
        among=("additive", "multiplicative"),
    )
    size: int = value(512, "width of the additive scoring network", low=1, high=WIDEST)
    sees_word: bool = value(
        False, "whether a look knows the word just written, besides the hidden state before it"
    )
    after_step: bool = value(
        False,
        "look after the cell's step, with the hidden state that has read the word just written; the cell "
        "reads the mean annotation (Lu et al. 2017)",
    )
    sentinel: bool = value(
        False,
        "with after_step, soft attention and a cell with a memory: a word may look at what the cell "
        "remembers instead of the image (Lu et al. 2017)",
    )
    normalize: str = value(
        "softmax",
        "from scores to weights: the paper's softmax, or one with exact zeros, of pip install "
        "'captioner[entmax]'",
        among=NORMALIZATIONS,
    )
    penalty: float = value(1.0, "lambda of the doubly stochastic penalty (section 4.2.1)", low=0, trains=True)


@dataclass
class SoftAttentionConfig(AttentionConfig):
    """Deterministic soft attention (section 4.2)."""

    name: str = value("soft", "the expectation over all locations", group="attention")


@dataclass
class HardAttentionConfig(AttentionConfig):
    """Stochastic hard attention (section 4.1), trained with REINFORCE."""

    name: str = value("hard", "one location per step", group="attention")
    penalty: float = value(0.0, "lambda of the doubly stochastic penalty (section 4.2.1)", low=0, trains=True)
    inference: str = value("argmax", "location of a trained model", among=INFERENCE)
    expectation_probability: float = value(
        0.5, "how often training replaces a sample by its expectation", low=0, high=1, trains=True
    )
    soft_start: float = value(
        0.5,
        "share of the epochs, the first ones, in which it always does; the paper: 0",
        low=0,
        high=1,
        trains=True,
    )
    baseline_decay: float = value(0.9, "decay of the moving-average baseline", low=0, high=1, trains=True)
    reinforce_weight: float = value(0.1, "lambda_r of section 4.1", low=0, trains=True)
    entropy_weight: float = value(0.002, "lambda_e of section 4.1", low=0, trains=True)


@dataclass
class DecoderConfig:
    """The decoder around the cell."""

    embedding_size: int = value(512, "width of a word vector", low=1, high=WIDEST)
    hidden_size: int = value(512, "width of the cell's hidden state", low=1, high=WIDEST)
    gate: str = value("scalar", "beta; scalar is the paper's", among=("none", "scalar", "vector"))
    deep_output: bool = value(True, "the output layer sees the previous word and the context too")
    initial_state: str = value(
        "mean",
        "what the cell's state begins as: a map of the mean annotation, the paper's, or one learned for all "
        "images, so that a word knows of the image what was looked at",
        among=("mean", "learned"),
    )
    dropout: float = value(0.5, "on the hidden state and the deep output", low=0, below=1, trains=True)
    input_dropout: float = value(0.0, "on the word vectors and the annotations", low=0, below=1, trains=True)
    embedding: str | None = value(
        None,
        "word vectors that the embedding starts from, GloVe's or word2vec's as text; read only where a run "
        "starts without init",
        path=True,
        trains=True,
    )
    freeze_embedding: bool = value(False, "the embedding is not trained", trains=True)


@dataclass
class EncoderConfig:
    """The network that turns pixels into annotations, and its preprocessing."""

    name: str = value(REQUIRED, "network: those of conf/encoder, and with library=timm any of timm's")
    weights: str | None = value(
        None,
        "pretrained (a download), a .safetensors, .pth or .bin file, a model file of captioner, or null",
        path=True,
        trains=True,
    )
    image_size: int | None = value(
        224,
        "side of the square that the model sees, in pixels; null, as mean and std: timm's",
        low=8,
        high=4096,
    )
    resize: str = value("crop", "the centre square, or the whole photo made square", among=("crop", "squash"))
    mean: list[float] | None = value(
        [0.485, 0.456, 0.406], "of red, green and blue in [0, 1]", length=3, low=-1e6, high=1e6
    )
    std: list[float] | None = value(
        [0.229, 0.224, 0.225], "of red, green and blue in [0, 1]", length=3, low=1e-6, high=1e6
    )
    fine_tune: Any = value(False, "true, false, or the name of the first stage that is trained", trains=True)
    last_stage: str | None = value(None, "stage whose output are the annotations; null: the network's last")
    local: str | None = value(
        None,
        "an earlier stage, whose map is joined to the annotations and by which alone the attention scores "
        "locations, so that a peak stands on what is seen there",
    )
    library: str = value("torchvision", "where the network comes from", among=("torchvision", "timm"))


@dataclass
class ModelConfig:
    """All that rebuilds a model, apart from its vocabulary and its weights."""

    encoder: EncoderConfig
    cell: CellConfig
    attention: AttentionConfig
    decoder: DecoderConfig


def computed_with(config: ModelConfig) -> dict[str, Any]:
    """The options, by key, that decide what weights compute: all but those that matter to training alone."""
    groups = {of.name: getattr(config, of.name) for of in fields(ModelConfig)}
    return {
        f"{group}.{of.name}": getattr(part, of.name)
        for group, part in groups.items()
        for of, declared in declarations(type(part))
        if not declared.trains
    }
