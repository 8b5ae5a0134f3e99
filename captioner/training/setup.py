"""From a configuration to all that training starts with: records, vocabulary, model, features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from captioner.config.declare import check
from captioner.config.model import HardAttentionConfig
from captioner.config.schema import TrainConfig
from captioner.config.training import SelfCriticalConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.data.words import count_vocabulary, count_words
from captioner.errors import CaptionerError
from captioner.evaluation.references import References
from captioner.features.captioned import CaptionedSplit
from captioner.features.mosaics import Mosaics
from captioner.features.parts import MIRRORED, MOSAICS, PHOTOS, Part, parts_of
from captioner.features.records import mirror_images, read_split
from captioner.features.split import Split, encode_split
from captioner.model.captioner import Captioner, build_model
from captioner.model.combinations import check_combination
from captioner.model.encoder import Encoder, build_encoder
from captioner.model.normalization import build_normalize
from captioner.training.adaptation import Start, start_from, start_with
from captioner.training.self_critical import check_self_critical
from captioner.training.trained_on import check_same, check_same_batches, splits_of, trained_on
from captioner.training.word_vectors import start_embedding
from captioner.vocabulary import Vocabulary


@dataclass
class Setup:
    """What a training run works on.

    Attributes:
        train: with mirror images if ``training.flip`` is positive.
        references: those of the validation split.
        data: what a state keeps of the data, and lines about what was left out of it, or divided.
        new_words, told: how many words the vocabulary has gained, and those lines, then one about the words,
            or about those that start from word vectors.
        changed: a line about options that the model of ``init`` was trained without.
    """

    model: Captioner
    vocabulary: Vocabulary
    train: CaptionedSplit
    val: Split
    references: References
    data: dict[str, Any]
    new_words: int = 0
    told: str = ""
    changed: str = ""


def prepare(config: TrainConfig, device: torch.device, saved: dict[str, Any] | None = None) -> Setup:
    """Read the data, count the vocabulary on the training split, build the model, encode the images.

    With ``init`` the weights are those of its model, and the vocabulary too, which may grow.

    Args:
        saved: the state of a run to go on with, whose vocabulary and weights are taken instead.

    Raises:
        CaptionerError: whatever is wrong with the data or the configuration, or the data is not that of
            ``saved``.
    """
    notes: list[str] = []
    train, val = (read_split(config.data, split, config.run, notes) for split in ("train", "val"))
    splits = splits_of(train, val)
    if saved is not None and "data" in saved:  # states of before do not know their data
        check_same(saved["data"], splits, train, config.vocabulary if config.init is None else None)
        check_same_batches(saved, config.training)
        start = start_with(config, saved)
    elif config.init is not None:
        start = start_from(config, config.init, train)
    else:
        counted = count_vocabulary(train, config.vocabulary)
        start = Start(counted, build_model(config, len(counted)))
        if config.decoder.embedding is not None:
            counts = count_words(train, counted.unit)
            told = start_embedding(start.model.decoder, counted, config.decoder.embedding, counts)
            start = start._replace(told=told)
    vocabulary, model, new_words, told, changed = start
    model.to(device)
    captioned, val_split = _encoded(config, model.encoder, vocabulary, train, val, device)
    told = "\n".join([*notes, *[told] * bool(told)])
    references = References(val, vocabulary)
    data = trained_on(vocabulary, new_words, splits) | {"notes": notes}
    return Setup(model, vocabulary, captioned, val_split, references, data, new_words, told, changed)


def _encoded(
    config: TrainConfig,
    encoder: Encoder,
    vocabulary: Vocabulary,
    train: Sequence[Record],
    val: Sequence[Record],
    device: torch.device,
) -> tuple[CaptionedSplit, Split]:
    """What is trained on, and what is validated on."""
    options, preprocess = config.training, Preprocess.of(config.encoder)
    splits = {}
    for part, images in parts_of({"train": train, "val": val}, options, encoder, preprocess).items():
        title = f"encoding {part.split if part.kind == PHOTOS else part.kind}"
        splits[part] = encode_split(encoder, config.encoder, images, config.run, device, title)
    photos, mirrored = splits[Part("train")], splits.get(Part("train", MIRRORED))
    if options.flip and mirrored is None:  # the features are the pixels
        mirrored = Split(mirror_images(train), photos.features[..., ::-1])
    drawn = splits.get(Part("train", MOSAICS))
    mosaics = Mosaics.of(drawn, len(train), options.flip > 0) if drawn else None
    captioned = CaptionedSplit.build(photos, vocabulary, options.max_caption_length, mirrored, mosaics)
    return captioned, splits[Part("val")]


def check_training(config: TrainConfig) -> None:
    """Refuse a configuration that cannot be trained, before any data is read or any folder made.

    Raises:
        CaptionerError: names the key, its value and what it may be.
    """
    check(config)
    check_combination(config)
    build_normalize(config.attention.normalize)  # whose package may be missing
    if isinstance(config.phase, SelfCriticalConfig):
        check_self_critical(config.phase)
        if config.init is None:
            raise CaptionerError(
                "phase: self_critical starts from a trained model, name its run with init=RUN"
            )
    with torch.device("meta"):  # the names of stages are the network's
        encoder = build_encoder(config.encoder, load_weights=False)
    if config.training.batch_size == 1 and encoder.needs_pairs:
        raise CaptionerError(
            "training.batch_size: 1 is too few for an encoder whose trained BatchNorm sees one value of each "
            "channel per image; give at least 2, or a larger encoder.image_size"
        )
    check_accumulate(config, encoder)
    if config.training.crop < 1 and not encoder.windowed:
        raise CaptionerError(
            f"training.crop: {config.training.crop} needs feature maps, and what {config.encoder.name} gives "
            "before its trained stages is none; give training.crop=1 or encoder.fine_tune=false"
        )


def check_accumulate(config: TrainConfig, encoder: Encoder) -> None:
    """Refuse parts of a batch where what is computed for one of them depends on the others.

    Raises:
        CaptionerError: names the key, its value and what to give instead.
    """
    parts, size = config.training.accumulate, config.training.batch_size
    if parts == 1:
        return
    key = f"training.accumulate: {parts}"
    if parts > size:
        raise CaptionerError(f"{key} parts need as many images; give at most training.batch_size={size}")
    if isinstance(config.attention, HardAttentionConfig):
        raise CaptionerError(
            f"{key} parts cannot have hard attention's baseline, a mean over the whole batch that is needed "
            "before any gradient; give training.accumulate=1 and a smaller batch_size, or attention=soft"
        )
    if encoder.trains_statistics:
        raise CaptionerError(
            f"{key} parts would each be normalized by themselves in the BatchNorm of an encoder that is "
            "trained from scratch; give training.accumulate=1, encoder.weights or encoder.fine_tune=false"
        )
