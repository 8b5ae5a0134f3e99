"""``captioner check data=NAME [KEY=VALUE ...]``: the data doctor's report as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from captioner.config.compose import run_command
from captioner.config.schema import CheckConfig
from captioner.data.doctor.examine import Diagnosis, Finding, examine
from captioner.data.doctor.summary import SplitSummary
from captioner.data.load import data_files
from captioner.data.photos.formats import extensions
from captioner.errors import CaptionerError
from captioner.system.atomic_files import make_folder, write_whole
from captioner.system.outputs import refuse_existing, refuse_input

EXAMPLES = 3  # findings of a kind that are printed; the JSON file has them all
UNFIT, USELESS = 1, 3


def run(arguments: Sequence[str]) -> int:
    """Examine the data and print the report; 1 if training on it would stop, 3 if it would be of no use."""
    statuses: list[int] = []

    def check(config: CheckConfig) -> None:
        if config.output is not None:
            _check_output(config, Path(config.output))
        options, run = config.training, config.run
        diagnosis = examine(
            config.data, config.vocabulary, options.max_caption_length, run.workers, run.progress
        )
        print("\n".join(as_lines(diagnosis, options.max_caption_length, config.vocabulary.min_count)))
        if config.output is not None:
            _save(diagnosis, Path(config.output))
        statuses.append(UNFIT if not diagnosis.trainable else USELESS if diagnosis.useless else 0)

    run_command("check", CheckConfig, check, arguments)
    return UNFIT if UNFIT in statuses else max(statuses, default=0)


def _check_output(config: CheckConfig, output: Path) -> None:
    """Refuse a report in place of a file that exists, above all one of the data's."""
    refuse_existing([output], "output", config.overwrite, "overwrite=true")
    if output.suffix.lower() in extensions():
        raise CaptionerError(f"output: {output} would be a photo by its name, not a report")
    refuse_input(output, data_files(config.data), "output")
    make_folder(output.parent, "output")


def as_lines(diagnosis: Diagnosis, longest: int, min_count: int) -> Iterator[str]:
    """The report for people: what the splits hold, then what is wrong, the worst first."""
    if diagnosis.splits:
        columns = [_column(split, summary, longest) for split, summary in diagnosis.splits.items()]
        for label in columns[0]:
            yield f"{label:<24}" + "".join(f"{column[label]:>14}" for column in columns)
        yield ""
        yield f"vocabulary: {diagnosis.vocabulary:,} words that occur {min_count} times or more in train"
    for split, reason in diagnosis.absent.items():
        yield f"no {split} split: {reason}"
    yield from diagnosis.notes
    for title, findings in _sections(diagnosis.findings):
        yield from ("", f"{title}:")
        for kind in dict.fromkeys(finding.kind for finding in findings):
            yield from _told(kind, [finding for finding in findings if finding.kind == kind])
    yield ""
    if not diagnosis.trainable:
        yield "training would stop"
    elif diagnosis.useless:
        yield "training would go through, and the model would be useless, see above"
    else:
        yield "training would go through" + (", see above" if diagnosis.findings else "; nothing is wrong")


def _sections(findings: Sequence[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """The findings by how bad they are, the worst first."""
    for title, fatal, useless in (
        ("training would stop at", True, False),
        ("a model would be useless for", False, True),
        ("worth a look", False, False),
    ):
        if chosen := [f for f in findings if (f.fatal, f.useless) == (fatal, useless)]:
            yield title, chosen


def _column(split: str, summary: SplitSummary, longest: int) -> dict[str, str]:
    """The cells of a split's column, by the line's label."""
    lengths = summary.lengths
    return {
        "": split,
        "images": f"{summary.images:,}",
        "captions": f"{summary.captions:,}",
        "captions per image": _span(*summary.per_image),
        "words per caption": _span(lengths.min, lengths.max),
        "  median": f"{lengths.median:g}",
        "  95 % have at most": f"{lengths.p95:,}",
        f"cut after {longest} words": f"{summary.cut:,}",
        "different words": f"{summary.different_words:,}",
        "  in the vocabulary": _percent(summary.known_different, summary.different_words),
        "unknown words": _percent(summary.unknown, summary.words),
    }


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


def _told(kind: str, findings: Sequence[Finding]) -> Iterator[str]:
    splits = ", ".join(dict.fromkeys(finding.split for finding in findings))
    yield f"  {kind}: {len(findings):,} ({splits})"
    yield from (f"      {finding.line}" for finding in findings[:EXAMPLES])
    if len(findings) > EXAMPLES:
        yield f"      and {len(findings) - EXAMPLES:,} more"


def _save(diagnosis: Diagnosis, path: Path) -> None:
    report = {
        "trainable": diagnosis.trainable,
        "useless": diagnosis.useless,
        "notes": diagnosis.notes,
        "vocabulary": diagnosis.vocabulary,
        "splits": {name: _as_plain(summary) for name, summary in diagnosis.splits.items()},
        "absent": diagnosis.absent,
        "findings": [finding._asdict() for finding in diagnosis.findings],
    }
    write_whole(path, json.dumps(report, indent=1) + "\n")
    print(f"written: {path}")


def _as_plain(summary: SplitSummary) -> dict[str, object]:
    return {**asdict(summary), "lengths": summary.lengths._asdict()}
