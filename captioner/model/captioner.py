"""The whole model, and the builder that turns configuration into parts."""

from __future__ import annotations

from torch import Tensor, nn

from captioner.config.model import ModelConfig
from captioner.model.attention import build_attention
from captioner.model.cell_choice import build_cell
from captioner.model.combinations import check_combination
from captioner.model.decoder import Decoder
from captioner.model.encoder import Encoder, build_encoder
from captioner.model.rows import Captions
from captioner.model.step import Unrolled


class Captioner(nn.Module):
    """Encoder and decoder: tensors in, tensors out; pixels and words are ``predictor``'s business."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, features: Tensor, captions: Captions) -> Unrolled:
        """Teacher forcing from the encoder trunk's output, as the cache holds it."""
        return self.decoder(self.encoder.tail(features), captions)


def build_model(config: ModelConfig, vocabulary_size: int, load_encoder_weights: bool = True) -> Captioner:
    """The model that the configuration describes, with fresh decoder weights.

    Raises:
        CaptionerError: a name or a value of the configuration is wrong.
    """
    encoder = build_encoder(config.encoder, load_encoder_weights)
    return Captioner(encoder, build_decoder(config, encoder.features, vocabulary_size, encoder.local))


def build_decoder(config: ModelConfig, features: int, vocabulary_size: int, local: int = 0) -> Decoder:
    """The decoder that the configuration describes, over the annotations of an encoder.

    Args:
        features, local: as of :class:`captioner.model.encoder.Encoder`.
    """
    check_combination(config)
    sizes = config.decoder
    decoder = Decoder(
        build_cell(config.cell, sizes.embedding_size + features, sizes.hidden_size),
        build_attention(config.attention, features, sizes.hidden_size, sizes.embedding_size, local),
        vocabulary_size,
        sizes.embedding_size,
        features,
        sizes.gate,
        sizes.deep_output,
        sizes.dropout,
        sizes.input_dropout,
        sizes.initial_state,
    )
    decoder.embedding.weight.requires_grad_(not sizes.freeze_embedding)
    return decoder
