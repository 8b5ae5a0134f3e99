"""An evaluation as files and as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import Against, Evaluation
from captioner.evaluation.grounding.kept import kept_figures
from captioner.evaluation.grounding.table import as_lines
from captioner.metrics.bootstrap import RESAMPLES, Interval
from captioner.metrics.table import SCORES
from captioner.system.atomic_files import write_whole

SCORES_FILE, CAPTIONS_FILE, IMAGES_FILE = FILES = ("scores.json", "captions.json", "images.jsonl")
OVER_IMAGES = f"95 % bootstrap interval over images, {RESAMPLES:,} resamples"


def save_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write the files of an evaluation into a folder.

    ``scores.json`` holds the scores with their intervals, the protocol, a comparison and what is known of the
    maps; ``captions.json`` the captions in COCO's results format; ``images.jsonl`` each image's caption and
    scores.
    """
    summary = {
        "scores": evaluation.scores,
        "intervals": evaluation.intervals,
        "missing": evaluation.missing,
        "protocol": evaluation.protocol,
    }
    if evaluation.against is not None:
        summary["against"] = asdict(evaluation.against)
    if evaluation.grounding is not None:
        summary["grounding"] = asdict(evaluation.grounding)
    write_whole(folder / SCORES_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    write_whole(
        folder / CAPTIONS_FILE,
        json.dumps(evaluation.captions, indent=1, ensure_ascii=False) + "\n",
    )
    images = ({**entry, "scores": scores} for entry, scores in zip(evaluation.captions, evaluation.images))
    lines = "".join(json.dumps(image, ensure_ascii=False) + "\n" for image in images)
    write_whole(folder / IMAGES_FILE, lines)


@dataclass(frozen=True)
class Measured:
    """What an evaluation found of a model, as its file keeps it.

    Attributes:
        scores: by name.
        protocol: what they are of, and how they were measured, in a line.
        grounding: how far the maps may be believed; empty if it was not measured.
    """

    scores: dict[str, float]
    protocol: str
    grounding: dict[str, float]


def read_measured(folder: Path) -> Measured:
    """Read what :func:`save_evaluation` wrote into a folder.

    Raises:
        CaptionerError: there are none.
    """
    path = folder / SCORES_FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        scores = {str(k): float(v) for k, v in summary["scores"].items()}
        return Measured(scores, protocol_line(summary["protocol"]), kept_figures(summary.get("grounding")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptionerError(f"{path}: holds no scores of captioner evaluate ({error})") from error


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """What scores are of, and how the captions were searched for."""
    search = protocol.get("search")
    if search is None:
        how = f"captions of {protocol['predictions']}"
    elif search["strategy"] == "beam":
        how = f"beam {search['beam_size']}, length normalization {search['length_normalization']:g}"
    else:
        how = search["strategy"]
    if protocol.get("inference") is not None:
        how += f", hard attention by {protocol['inference']}"
    return (
        f"{protocol['data']} {protocol['split']}: {protocol['images']} images, "
        f"{protocol['references']} references, {how}"
    )


def as_table(evaluation: Evaluation) -> str:
    """The scores as lines of text, most in percent, with what is missing and how it was measured."""
    spans = evaluation.intervals
    lines = [
        f"{name:<10}{shown(name, value):>7}" + (f"  {_span(name, spans[name])}" if name in spans else "")
        for name, value in evaluation.scores.items()
    ]
    lines += [f"{name:<10}      -  ({way})" for name, way in evaluation.missing.items()]
    lines.append(protocol_line(evaluation.protocol))
    lines += evaluation.protocol.get("data_notes", ())
    lines += _sameness([str(entry["caption"]) for entry in evaluation.captions])
    if spans:
        lines.append(f"x to y: {OVER_IMAGES}")
    if evaluation.against is not None:
        lines += ["", *as_lines_against(evaluation.against)]
    if evaluation.grounding is not None:
        lines += ["", *as_lines(evaluation.grounding)]
    return "\n".join(lines)


def as_lines_against(against: Against) -> list[str]:
    """A comparison as lines of text: every difference with its interval, and what follows from it."""
    lines = [f"against {against.name}, ours minus theirs:"]
    for name, apart in against.differences.items():
        line = f"{name:<10}{shown(name, apart.delta, '+'):>7}"
        lines.append(line + ("" if apart.interval is None else f"  {_span(name, apart.interval, '+')}"))
    return [*lines, protocol_line(against.protocol), _conclusion(against)]


def _conclusion(against: Against) -> str:
    real = [
        f"{name} ({'higher' if d.delta > 0 else 'lower'})"
        for name, d in against.differences.items()
        if d.shown
    ]
    others = [name for name, d in against.differences.items() if not d.shown]
    parts = []
    if real:
        parts.append(
            f"On other images of this kind a difference of the same sign is expected in {', '.join(real)}"
        )
    if others:
        parts.append(f"{'no' if real else 'No'} difference is shown in {', '.join(others)}")
    return "; ".join(parts) + ". Other training seeds may differ by more: the interval is over images alone."


def shown(name: str, value: float, sign: str = "") -> str:
    """A score, or with the sign "+" a difference of two, as tables show it."""
    digits = SCORES[name].decimals
    return f"{round(SCORES[name].scale * value, digits) + 0.0:{sign}.{digits}f}"  # no minus zero


def _span(name: str, interval: Interval, sign: str = "") -> str:
    low, high = (shown(name, end, sign) for end in interval)
    return f"{low} to {high}"


def _sameness(captions: Sequence[str]) -> list[str]:
    """A line if most captions are one sentence, as those of a model that does not look at the photo."""
    for caption, times in Counter(captions).most_common(1):
        if times > 1 and 2 * times > len(captions):
            return [f"{times} of {len(captions)} captions are the same sentence: {caption!r}"]
    return []
