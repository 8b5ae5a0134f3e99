"""From a configuration to all that training starts with: records, vocabulary, model, features."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from captioner.checkpoint.file import load_checkpoint
from captioner.config.declare import check
from captioner.config.schema import TrainConfig
from captioner.config.training import SelfCriticalConfig
from captioner.data.load import load_split
from captioner.data.records import Record
from captioner.data.words import count_vocabulary, encode_captions, mirrored_captions
from captioner.errors import CaptionerError
from captioner.evaluation.references import References
from captioner.features.split import Split, encode_split
from captioner.model.captioner import Captioner, build_model
from captioner.model.encoder import build_encoder
from captioner.training.self_critical import check_self_critical
from captioner.vocabulary import Vocabulary


@dataclass
class Setup:
    """What a training run works on.

    Attributes:
        captions: of every training record, as indices.
        references: those of the validation split.
        mirrored: the training images with left and right swapped, and their captions; None unless wanted.
    """

    model: Captioner
    vocabulary: Vocabulary
    train: Split
    captions: list[list[list[int]]]
    val: Split
    references: References
    mirrored: tuple[Split, list[list[list[int]]]] | None = None


def prepare(config: TrainConfig, device: torch.device) -> Setup:
    """Read the data, count the vocabulary on the training split, build the model, encode the images.

    With ``init`` the vocabulary and the weights are those of its model.

    Raises:
        CaptionerError: whatever is wrong with the data or the configuration.
    """

    def encoded(records: list[Record], title: str, mirrored: bool = False) -> Split:
        return encode_split(model.encoder, config.encoder, records, config.run, device, title, mirrored)

    train, val = load_split(config.data, "train"), load_split(config.data, "val")
    if config.init is not None:
        vocabulary, model = _trained(config, config.init)
    else:
        vocabulary = count_vocabulary(train, config.vocabulary)
        model = build_model(config, len(vocabulary))
    model.to(device)
    captions = encode_captions(train, vocabulary, config.training.max_caption_length)
    train_split, val_split = encoded(train, "encoding train"), encoded(val, "encoding val")
    mirrored = None
    if config.training.flip:
        if model.encoder.first_trained == 0:  # the features are the pixels
            turned = Split(train, train_split.features[..., ::-1])
        else:
            turned = encoded(train, "encoding mirrored", mirrored=True)
        mirrored = turned, mirrored_captions(captions, vocabulary)
    references = References(val, vocabulary)
    return Setup(model, vocabulary, train_split, captions, val_split, references, mirrored)


def _trained(config: TrainConfig, path: str) -> tuple[Vocabulary, Captioner]:
    """The vocabulary of a model file, and its weights in the model that the configuration describes."""
    checkpoint = load_checkpoint(path)
    model = build_model(config, len(checkpoint.vocabulary), load_encoder_weights=False)
    try:
        model.load_state_dict(checkpoint.model.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CaptionerError(f"init: the model of {path} is not of this configuration ({reason})") from error
    return checkpoint.vocabulary, model


def check_training(config: TrainConfig) -> None:
    """Refuse a configuration that cannot be trained, before any data is read or any folder made.

    Raises:
        CaptionerError: names the key, its value and what it may be.
    """
    check(config)
    if isinstance(config.phase, SelfCriticalConfig):
        check_self_critical(config.phase)
        if config.init is None:
            raise CaptionerError(
                "phase: self_critical starts from a trained model, name its run with init=RUN"
            )
    with torch.device("meta"):  # the names of stages are the network's
        build_encoder(config.encoder, load_weights=False)
