"""From captions of a split to scores, with their intervals and the protocol that they were measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.config.declare import check
from captioner.config.schema import EvaluateConfig
from captioner.config.sources import check_sources
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.evaluation.captioned import Captioned, by_model, from_file
from captioner.evaluation.grounding.report import AttentionReport
from captioner.evaluation.predictions import captions_by_record
from captioner.evaluation.references import References
from captioner.evaluation.sources import files_of
from captioner.features.records import read_split
from captioner.kernels.compiler import use_compiler
from captioner.metrics.bootstrap import Difference, Interval, differences, intervals
from captioner.metrics.coco import coco_scores
from captioner.metrics.dangling import dangling
from captioner.metrics.statistics import Statistics
from captioner.metrics.table import evaluated
from captioner.version import __version__

OWN_CIDER = "CIDEr-D"  # of single images, where COCO's evaluation code is not installed


@dataclass(frozen=True)
class Against:
    """The same images as other captions have them.

    Attributes:
        name: of the file or folder that they come from.
        scores, missing, protocol: as in :class:`Evaluation`.
        differences: by score, ours minus theirs.
    """

    name: str
    scores: dict[str, float]
    missing: dict[str, str]
    protocol: dict[str, Any]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: by name, in the order of ``metrics.table.SCORES``; from 0 to 1 (CIDEr can pass 1).
        missing: scores that could not be computed, each with the way to get it.
        protocol: what the scores were measured on and how.
        captions: in COCO's results format, one entry per image.
        grounding: whether the attention maps can be believed; None if it was not requested.
        intervals: 95 % bootstrap interval over images, of the scores that have one.
        images: of each image the scores by itself, in the order of ``captions``.
        records: the images, in that order.
        against: the comparison with other captions; None if none were named.
    """

    scores: dict[str, float]
    missing: dict[str, str]
    protocol: dict[str, Any]
    captions: list[dict[str, Any]]
    grounding: AttentionReport | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    images: Sequence[Mapping[str, float]] = ()
    records: Sequence[Record] = ()
    against: Against | None = None


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Caption a split, free-running, or read its captions from a file, and score them against its references.

    Several model files caption together, by the mean of their word probabilities.

    Raises:
        CaptionerError: the model file, the captions, the data or an option is wrong.
    """
    check(config)
    check_sources(config)
    use_compiler(config.run.compile)
    notes: list[str] = []
    files = files_of(config)
    records, captions = _captions_of_files(
        config, files, read_split(config.data, config.split, config.run, notes)
    )

    def captioned(key: str, model: Any) -> Captioned:
        if key in captions:
            return from_file(files[key], captions[key], config.unit)
        return by_model(config, model, records, grounding=config.grounding and key != "against")

    ours = captioned("predictions", config.checkpoint)
    scored = _Scored.of(ours, records, config)
    against = None
    if config.against is not None:
        theirs = _Scored.of(captioned("against", config.against), records, config)
        apart = differences(scored.statistics, theirs.statistics)
        apart = {name: apart[name] for name in scored.scores if name in apart}
        against = Against(config.against, theirs.scores, theirs.missing, theirs.protocol, apart)
    spans = intervals(scored.statistics)
    return Evaluation(
        scored.scores,
        scored.missing,
        scored.protocol | {"data_notes": notes},
        [{"image_id": record.image_id, "caption": text} for record, text in zip(records, ours.texts)],
        ours.grounding,
        {name: spans[name] for name in scored.scores if name in spans},
        _of_images(scored.statistics, [*scored.scores, OWN_CIDER]),
        records,
        against,
    )


def _captions_of_files(
    config: EvaluateConfig, files: Mapping[str, Path], records: Sequence[Record]
) -> tuple[Sequence[Record], dict[str, list[str | None]]]:
    """The images that are scored, and their captions by the key of the configuration that names a file."""
    skip = config.unknown == "skip"
    captions = {key: captions_by_record(records, path, key, skip) for key, path in files.items()}
    lacking = [number for number, texts in enumerate(zip(*captions.values())) if None in texts]
    if lacking and config.missing == "refuse":
        number = lacking[0]
        key = next(key for key, texts in captions.items() if texts[number] is None)
        raise CaptionerError(
            f"{key}: {files[key]} has no caption of image {records[number].image_id!r}; "
            f"in all, {len(lacking):,} of {len(records):,} images lack one: missing=skip scores the others, "
            "missing=empty takes an empty caption"
        )
    if lacking and config.missing == "skip":
        without = set(lacking)
        kept = [number for number in range(len(records)) if number not in without]
        if not kept:
            raise CaptionerError(
                f"missing: no image of {config.split} has a caption, so none is left to score"
            )
        records = [records[number] for number in kept]
        captions = {key: [texts[number] for number in kept] for key, texts in captions.items()}
    return records, captions


@dataclass(frozen=True)
class _Scored:
    scores: dict[str, float]
    missing: dict[str, str]
    protocol: dict[str, Any]
    statistics: list[Statistics]

    @classmethod
    def of(cls, captioned: Captioned, records: Sequence[Record], config: EvaluateConfig) -> _Scored:
        """The scores of captions, and the protocol."""
        unit = captioned.vocabulary.unit
        coco = coco_scores(captioned.texts, [record.captions for record in records], unit)
        references = References(records, captioned.vocabulary)
        statistics = references.statistics(captioned.words, evaluated())
        found = {name: score for part in statistics for name, score in part.corpus().items()}
        found |= references.scores_of(captioned.words, set(evaluated()) - set(found)) | dict(coco.values)
        rankable = len(records) > 1 and "CIDEr" not in coco.values
        own = references.statistics(captioned.words, [OWN_CIDER]) if rankable else []
        protocol = {
            "data": config.data.name,
            "split": config.split,
            "images": len(records),
            "references": sum(len(record.captions) for record in records),
            "bleu_tokenizer": f"captioner ({unit})",
            "coco_tokenizer": coco.tokenizer,
            "meteor_matching": coco.meteor,
            **captioned.protocol,
            "dangling_captions": dangling(captioned.words),
            "captioner_version": __version__,
        }
        return cls(
            {name: found[name] for name in evaluated() if name in found},
            dict(coco.missing),
            protocol,
            [*statistics, *coco.statistics, *own],
        )


def _of_images(statistics: Sequence[Statistics], names: Sequence[str]) -> list[dict[str, float]]:
    columns = {name: values.tolist() for part in statistics for name, values in part.images().items()}
    present = [name for name in names if name in columns]
    return [dict(zip(present, row)) for row in zip(*(columns[name] for name in present))]
