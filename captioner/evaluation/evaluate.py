"""From a model file and a split to scores, with the protocol that they were measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from captioner.checkpoint.file import Checkpoint
from captioner.checkpoint.members import load_members
from captioner.config.declare import check
from captioner.config.schema import EvaluateConfig
from captioner.data.load import load_split
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.decoding.hypotheses import Hypothesis
from captioner.errors import CaptionerError
from captioner.evaluation.captions import caption_together
from captioner.evaluation.grounding.report import AttentionReport, attention_report
from captioner.evaluation.grounding.subject import Subject
from captioner.evaluation.references import References
from captioner.features.split import encode_split
from captioner.kernels.compiler import use_compiler
from captioner.kernels.precision import autocast
from captioner.metrics.coco import Scores, coco_scores
from captioner.metrics.dangling import dangling
from captioner.metrics.table import evaluated
from captioner.system.device import choose_device
from captioner.version import __version__


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: by name, in the order of ``metrics.table.SCORES``; from 0 to 1 (CIDEr can pass 1).
        missing: scores that could not be computed, each with the way to get it.
        protocol: what the scores were measured on and how.
        captions: in COCO's results format, one entry per image.
        grounding: whether the attention maps can be believed; None if it was not requested.
    """

    scores: dict[str, float]
    missing: dict[str, str]
    protocol: dict[str, Any]
    captions: list[dict[str, Any]]
    grounding: AttentionReport | None = None


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Caption a split, free-running, and score the captions against its references.

    Several model files caption together, by the mean of their word probabilities.

    Raises:
        CaptionerError: the model file, the data or an option is wrong.
    """
    check(config)
    use_compiler(config.run.compile)
    device = choose_device(config.run.device)
    members = load_members(config.checkpoint, device)
    vocabulary, models = members[0].vocabulary, [member.model for member in members]
    if config.grounding and len(members) > 1:
        raise CaptionerError(f"grounding: it is measured of one model, and checkpoint names {len(members)}")
    if config.inference is not None:
        for model in models:
            model.decoder.attention.look.infer_by(config.inference)
    records = load_split(config.data, config.split)
    splits = [
        encode_split(m.model.encoder, m.config.encoder, records, config.run, device, "encoding")
        for m in members
    ]
    size, progress, grounding = config.batch_size, config.run.progress, None
    with autocast(device, "auto"):
        hypotheses = caption_together(
            models, splits, config.search, device, size, progress, attention=config.grounding
        )
        if config.grounding:
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
            grounding = attention_report(
                subject, hypotheses, config.deletion_images, config.deletion_seed, config.mosaics
            )
    texts = [vocabulary.text(h.words) for h in hypotheses]
    coco = coco_scores(texts, [record.captions for record in records], vocabulary.unit)
    found = {**References(records, vocabulary).scores(hypotheses, evaluated()), **coco.values}
    scores = {name: found[name] for name in evaluated() if name in found}
    protocol = _protocol(config, members, records, hypotheses, coco)
    captions = [{"image_id": record.image_id, "caption": text} for record, text in zip(records, texts)]
    return Evaluation(scores, dict(coco.missing), protocol, captions, grounding)


def _protocol(
    config: EvaluateConfig,
    members: Sequence[Checkpoint],
    records: Sequence[Record],
    hypotheses: Sequence[Hypothesis],
    coco: Scores,
) -> dict[str, Any]:
    """What the scores were measured on, and how."""
    vocabulary = members[0].vocabulary
    return {
        "data": config.data.name,
        "split": config.split,
        "images": len(records),
        "references": sum(len(record.captions) for record in records),
        "bleu_tokenizer": f"captioner ({vocabulary.unit})",
        "coco_tokenizer": coco.tokenizer,
        "meteor_matching": coco.meteor,
        "search": asdict(config.search),
        "inference": members[0].model.decoder.attention.look.inference,
        "unfinished_captions": sum(not h.finished for h in hypotheses),
        "dangling_captions": dangling([vocabulary.decode(h.words) for h in hypotheses]),
        "model_sha256": members[0].digest if len(members) == 1 else [m.digest for m in members],
        "captioner_version": __version__,
    }
