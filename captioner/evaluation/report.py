"""An evaluation as files and as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import Evaluation
from captioner.evaluation.grounding.table import as_lines
from captioner.metrics.table import SCORES
from captioner.system.atomic_files import write_whole

SCORES_FILE, CAPTIONS_FILE = FILES = ("scores.json", "captions.json")


def save_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write ``scores.json`` (with protocol, and what is known of the maps) and ``captions.json`` (COCO's)."""
    summary = {
        "scores": evaluation.scores,
        "missing": evaluation.missing,
        "protocol": evaluation.protocol,
    }
    if evaluation.grounding is not None:
        summary["grounding"] = asdict(evaluation.grounding)
    write_whole(folder / SCORES_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    write_whole(
        folder / CAPTIONS_FILE,
        json.dumps(evaluation.captions, indent=1, ensure_ascii=False) + "\n",
    )


def read_scores(folder: Path) -> tuple[dict[str, float], str]:
    """The scores that :func:`save_evaluation` wrote into a folder, and how they were measured, in a line.

    Raises:
        CaptionerError: there are none.
    """
    path = folder / SCORES_FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        return {str(k): float(v) for k, v in summary["scores"].items()}, protocol_line(summary["protocol"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptionerError(f"{path}: holds no scores of captioner evaluate ({error})") from error


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """What scores are of, and how the captions were searched for."""
    search = protocol["search"]
    how = search["strategy"]
    if how == "beam":
        how = f"beam {search['beam_size']}, length normalization {search['length_normalization']:g}"
    if protocol.get("inference") is not None:
        how += f", hard attention by {protocol['inference']}"
    return (
        f"{protocol['data']} {protocol['split']}: {protocol['images']} images, "
        f"{protocol['references']} references, {how}"
    )


def as_table(evaluation: Evaluation) -> str:
    """The scores as lines of text, most in percent, with what is missing and how it was measured."""
    lines = [
        f"{name:<10}{SCORES[name].scale * value:>7.{SCORES[name].decimals}f}"
        for name, value in evaluation.scores.items()
    ]
    lines += [f"{name:<10}      -  ({way})" for name, way in evaluation.missing.items()]
    lines.append(protocol_line(evaluation.protocol))
    lines += _sameness([str(entry["caption"]) for entry in evaluation.captions])
    if evaluation.grounding is not None:
        lines += ["", *as_lines(evaluation.grounding)]
    return "\n".join(lines)


def _sameness(captions: Sequence[str]) -> list[str]:
    """A line if most captions are one sentence, as those of a model that does not look at the photo."""
    for caption, times in Counter(captions).most_common(1):
        if times > 1 and 2 * times > len(captions):
            return [f"{times} of {len(captions)} captions are the same sentence: {caption!r}"]
    return []
