"""What a comparison of cells shows and what it does not, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from captioner.metrics.bootstrap import LEVEL
from captioner.training.comparison.results import (
    BASELINE,
    LABELS,
    TRAINING,
    Difference,
    Differences,
    Row,
    by_cell,
)


def conclusion(rows: Sequence[Row], found: Differences) -> str:
    """What follows from the differences of a table.

    Shown is a difference whose intervals leave out 0: that over seeds and, where there is one, that over
    photos. One that has the same sign with all of at least three seeds and is not shown is named
    as a hint. Cells with a run
    that diverged are named, and nothing is concluded about them but that.

    Args:
        rows: of the table, the baseline's among them.
    """
    diverged = list(dict.fromkeys(row.cell for row in rows if TRAINING in row.missing))
    fallen = f"; {', '.join(diverged)} diverged in training and " * bool(diverged)
    fallen += ("is not compared" if len(diverged) == 1 else "are not compared") * bool(diverged)
    each = [d for of_cell in found.values() for d in of_cell.values()]
    if BASELINE in diverged:
        return f"Nothing: {BASELINE}, with which the others are compared, diverged in training."
    if not each:
        return f"Nothing: there is no cell to compare {BASELINE} with{fallen}."
    seeds = len(by_cell(rows)[BASELINE])
    if seeds < 2:
        return (
            "Nothing about the cells: with one seed each, the intervals over photos compare these very "
            f"models, and another seed may turn every difference around{fallen}."
        )
    photos = any(d.interval is not None for d in each)
    whose = "intervals over seeds" + " and photos" * photos
    shown = _named(found, photos, lambda d: d.real)
    agreed = _named(found, False, lambda d: d.agreed and not d.real)
    count = f"the {len(each)} differences" if len(each) > 1 else "the one difference"
    hint = ""
    if agreed and seeds > 2:  # every other difference has the same sign with both of two seeds
        hint = (
            f"; the same sign with each of the {seeds} seeds, which about "
            f"{len(each) / 2 ** (seeds - 1):.1f} of {len(each)} would have by chance, is no more than a "
            f"hint: {agreed}"
        )
    if not shown:
        return (
            f"Of {count} from {BASELINE} none has {whose} that leave out 0, so no cell is shown to be better "
            f"or worse, which does not show that they are equal{hint}{fallen}."
        )
    others = "" if len(each) == sum(d.real for d in each) else ", and the others are not shown to be zero"
    return (
        f"In this data and training these differ from {BASELINE} by {whose} that leave out 0: {shown}; of "
        f"{count} at most about {(1 - LEVEL) * len(each):.1f} would by chance{others}{hint}{fallen}."
    )


def _named(found: Differences, photos: bool, wanted: Callable[[Difference], bool]) -> str:
    """The wanted differences by cell; ``photos``: say which are judged without photos, as others are not."""
    parts = []
    for cell, of_cell in found.items():
        names = [
            f"{LABELS.get(name, name)} ({'higher' if d.delta > 0 else 'lower'}"
            + ", by the seeds alone" * (photos and d.interval is None)
            + ")"
            for name, d in of_cell.items()
            if wanted(d)
        ]
        if names:
            parts.append(f"{cell} in {', '.join(names)}")
    return "; ".join(parts)
