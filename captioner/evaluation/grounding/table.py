"""The report on attention maps as lines of text."""

from __future__ import annotations

from collections.abc import Iterable

from captioner.evaluation.grounding.bands import Band
from captioner.evaluation.grounding.mosaics import GridPointing
from captioner.evaluation.grounding.report import AttentionReport

BAND_COLUMNS = ("words", "peak", "from", "to", "mass")
MOSAIC_COLUMNS = ("model", "from", "to", "uniform", "shuffled", "position")
COLUMNS = ("pointing", "uniform", "shuffled", "near", "mass", "uniform", "shuffled", "words")


def as_lines(report: AttentionReport) -> list[str]:
    """The report as lines of text."""
    lines = []
    own = "its own captions"
    if report.identified is not None:
        own += f" ({100 * report.identified:.0f} % of these words name one object without doubt)"
    for title, placed in ((own, report.captions), ("the reference captions", report.references)):
        if placed:
            lines.append(f"attention in {title}, in %")
            lines.append(_row("", COLUMNS))
            for kind, p in placed.items():
                found = (p.pointing.model, p.pointing.uniform, p.pointing.shuffled, p.near.model)
                values = (*found, p.mass.model, p.mass.uniform, p.mass.shuffled)
                lines.append(_row(kind, [*map(_percent, values), str(p.words)]))
            lines.append("")
    if report.mosaics is not None:
        lines += [*_mosaic_lines(report.mosaics), ""]
    deletion = report.deletion
    lines.append("deleting locations lowers a word's log probability by")
    lines.append(_row("share", [f"{100 * share:g} %" for share in deletion.shares]))
    lines.append(_row("attended", [f"{drop:.3f}" for drop in deletion.attended]))
    lines.append(_row("random", [f"{drop:.3f}" for drop in deletion.random]))
    lines.append(_row("ratio", ["-" if r is None else f"{r:.1f}" for r in deletion.ratio]))
    lines.append(
        f"maps: normalized entropy {report.entropy:.2f}; from word to word {100 * report.moved:.0f} % of the "
        f"attention moves; {100 * report.apart:.0f} % apart from the caption's mean map"
    )
    if report.field is not None:
        field = report.field
        lines.append(
            f"an annotation in the middle: {_percent(field.own_cell)} % of what it sees lies in its own cell "
            f"({_percent(field.cell)} % of the photo), half within {_percent(field.half)} % of the side, "
            f"90 % within {_percent(field.most)} %"
        )
    return lines


def _mosaic_lines(found: GridPointing) -> list[str]:
    lines = [
        f"attention in the own quadrant, {found.words} words of {found.mosaics} mosaics of four images, in %",
        _row("", MOSAIC_COLUMNS),
    ]
    for name, share in (("peak", found.peak), ("mass", found.mass)):
        values = (share.model, *share.interval, share.uniform, share.shuffled, share.position)
        lines.append(_row(name, map(_percent, values)))
    if found.alone is not None:
        lines.append(f"maps that never left the image described would have {_percent(found.alone)}")
    low, high = map(_percent, found.needed_interval)
    lines.append(
        f"deleting it costs the word {found.own:.3f}, deleting another {found.others:.3f}; its own costs "
        f"most for {_percent(found.needed)} % ({low} to {high}; by chance 25)"
    )
    lines += ["the same words by how far their maps are apart from their caption's mean map, in %"]
    lines += [_row("apart", BAND_COLUMNS), *map(_band_line, found.bands)]
    return lines


def _band_line(band: Band) -> str:
    reach = f"from {100 * band.low:g}" if band.high is None else f"{100 * band.low:g} to {100 * band.high:g}"
    low, high = band.interval or (None, None)
    return _row(reach, [str(band.words), *map(_percent, (band.peak, low, high, band.mass))])


def _row(name: str, cells: Iterable[str]) -> str:
    return f"{name:<10}" + "".join(f"{cell:>9}" for cell in cells)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
