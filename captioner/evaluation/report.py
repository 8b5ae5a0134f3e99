"""An evaluation as files and as a table."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

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


def as_table(evaluation: Evaluation) -> str:
    """The scores as lines of text, most in percent, with what is missing and how it was measured."""
    lines = [
        f"{name:<10}{SCORES[name].scale * value:>7.{SCORES[name].decimals}f}"
        for name, value in evaluation.scores.items()
    ]
    lines += [f"{name:<10}      -  ({way})" for name, way in evaluation.missing.items()]
    protocol = evaluation.protocol
    search = protocol["search"]
    how = search["strategy"]
    if how == "beam":
        how = f"beam {search['beam_size']}, length normalization {search['length_normalization']:g}"
    if protocol.get("inference") is not None:
        how += f", hard attention by {protocol['inference']}"
    lines.append(
        f"{protocol['data']} {protocol['split']}: {protocol['images']} images, "
        f"{protocol['references']} references, {how}"
    )
    if evaluation.grounding is not None:
        lines += ["", *as_lines(evaluation.grounding)]
    return "\n".join(lines)
