"""A split's captions, wherever they come from: a model that captions it, or a file that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from captioner.checkpoint.members import load_members
from captioner.config.schema import EvaluateConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.evaluation.captions import caption_together
from captioner.evaluation.grounding.report import AttentionReport, attention_report
from captioner.evaluation.grounding.subject import Subject
from captioner.features.split import encode_split
from captioner.kernels.precision import autocast, chosen_precision
from captioner.system.device import choose_device
from captioner.vocabulary import Vocabulary, tokenize


@dataclass(frozen=True)
class Captioned:
    """One caption for each image.

    Attributes:
        texts, words: the captions as text, and in words.
        vocabulary: the model's; of a file only the unit of words is known.
        protocol: how the captions were made.
        grounding: whether the attention maps can be believed; None if it was not requested.
    """

    texts: list[str]
    words: list[list[str]]
    vocabulary: Vocabulary
    protocol: dict[str, Any]
    grounding: AttentionReport | None = None


def by_model(
    config: EvaluateConfig, checkpoint: Any, records: Sequence[Record], grounding: bool = False
) -> Captioned:
    """Caption the images, free-running; several model files do it together.

    Raises:
        CaptionerError: the model file or an option is wrong.
    """
    device = choose_device(config.run.device)
    members = load_members(checkpoint, device)
    vocabulary, models = members[0].vocabulary, [member.model for member in members]
    if grounding and len(members) > 1:
        raise CaptionerError(f"grounding: it is measured of one model, and checkpoint names {len(members)}")
    if config.inference is not None:
        for model in models:
            model.decoder.attention.look.infer_by(config.inference)
    splits = [
        encode_split(m.model.encoder, m.config.encoder, records, config.run, device, "encoding")
        for m in members
    ]
    size, progress, report = config.batch_size, config.run.progress, None
    with autocast(device, config.precision):
        hypotheses = caption_together(
            models, splits, config.search, device, size, progress, attention=grounding
        )
        if grounding:
            subject = Subject(
                models[0],
                splits[0],
                vocabulary,
                Preprocess.of(members[0].config.encoder),
                device,
                size,
                progress,
                config.search,
                config.run.workers,
            )
            report = attention_report(
                subject, hypotheses, config.deletion_images, config.deletion_seed, config.mosaics
            )
    protocol = {
        "search": asdict(config.search),
        "precision": chosen_precision(device, config.precision),
        "inference": models[0].decoder.attention.look.inference,
        "unfinished_captions": sum(not h.finished for h in hypotheses),
        "model_sha256": members[0].digest if len(members) == 1 else [m.digest for m in members],
    }
    texts = [vocabulary.text(h.words) for h in hypotheses]
    words = [vocabulary.decode(h.words) for h in hypotheses]
    return Captioned(texts, words, vocabulary, protocol, report)


def from_file(path: Path, captions: Sequence[str | None], unit: str) -> Captioned:
    """The captions of a file, with an empty one where it has none."""
    texts = [caption or "" for caption in captions]
    protocol = {
        "predictions": path.name,
        "predictions_sha256": sha256(path.read_bytes()).hexdigest(),
        "images_without_caption": captions.count(None),
    }
    return Captioned(texts, [tokenize(text, unit) for text in texts], Vocabulary([], unit), protocol)
