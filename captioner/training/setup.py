"""From a configuration to all that training starts with: records, vocabulary, model, features."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from captioner.checkpoint.file import load_checkpoint
from captioner.config.model import AttentionConfig, HardAttentionConfig
from captioner.config.schema import TrainConfig
from captioner.config.training import SelfCriticalConfig
from captioner.data.load import load_split
from captioner.data.photos.prefetch import LARGEST_BATCH, MOST_WORKERS
from captioner.data.records import Record
from captioner.data.words import count_vocabulary, encode_captions, mirrored_captions
from captioner.decoding.search import check_search
from captioner.errors import CaptionerError, check_choice, check_range, check_seed
from captioner.evaluation.references import References
from captioner.features.split import Split, encode_split
from captioner.kernels.precision import PRECISIONS
from captioner.metrics import SELECTABLE
from captioner.model.captioner import Captioner, build_model
from captioner.training.optimization import SCHEDULES, check_optimizer
from captioner.training.self_critical import check_self_critical
from captioner.vocabulary import Vocabulary


@dataclass
class Material:
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


def prepare(config: TrainConfig, device: torch.device) -> Material:
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
    return Material(model, vocabulary, train_split, captions, val_split, references, mirrored)


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
    """Refuse values that mean nothing before any data is read.

    Raises:
        CaptionerError: names the key, its value and what it may be.
    """
    check_search(config.search)
    check_optimizer(config.optimizer)
    if isinstance(config.phase, SelfCriticalConfig):
        check_self_critical(config.phase)
        if config.init is None:
            raise CaptionerError(
                "phase: self_critical starts from a trained model, name its run with init=RUN"
            )
    options = config.training
    check_choice(options.select, SELECTABLE, "training.select")
    check_choice(options.schedule, SCHEDULES, "training.schedule")
    check_choice(options.precision, PRECISIONS, "training.precision")
    check_range(options.warmup, "training.warmup", low=0, high=1)
    check_attention(config.attention)
    check_range(options.epochs, "training.epochs", low=1)
    check_range(options.batch_size, "training.batch_size", low=1, high=LARGEST_BATCH)
    check_range(options.captions_per_image or 1, "training.captions_per_image", low=1)
    check_range(options.patience, "training.patience", low=0)
    check_range(options.clip_norm, "training.clip_norm", low=0)
    check_range(options.label_smoothing, "training.label_smoothing", low=0, high=0.99)
    check_range(options.flip, "training.flip", low=0, high=1)
    check_range(options.crop, "training.crop", low=0.01, high=1)
    check_range(options.average, "training.average", low=0, high=0.99999)
    check_range(options.max_caption_length, "training.max_caption_length", low=1)
    check_range(options.save_minutes, "training.save_minutes", low=0)
    check_seed(options.seed, "training.seed")
    check_range(config.run.workers, "run.workers", low=0, high=MOST_WORKERS)


def check_attention(config: AttentionConfig) -> None:
    """Refuse weights of the loss that mean nothing.

    Raises:
        CaptionerError: names the key, its value and what it may be.
    """
    check_range(config.penalty, "attention.penalty", low=0)
    if isinstance(config, HardAttentionConfig):
        check_range(config.expectation_probability, "attention.expectation_probability", low=0, high=1)
        check_range(config.soft_start, "attention.soft_start", low=0, high=1)
        check_range(config.baseline_decay, "attention.baseline_decay", low=0, high=1)
        check_range(config.reinforce_weight, "attention.reinforce_weight", low=0)
        check_range(config.entropy_weight, "attention.entropy_weight", low=0)
