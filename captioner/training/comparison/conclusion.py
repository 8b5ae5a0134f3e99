"""What a comparison of cells shows and what it does not, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from captioner.training.comparison.results import (
    BASELINE,
    LABELS,
    Difference,
    Differences,
    Row,
    by_cell,
    chance,
)


def conclusion(rows: Sequence[Row], found: Differences) -> str:
    """What follows from the differences of a table.

    Named is what exceeds the spread between seeds and, where there is one, has an interval without 0.

    Args:
        rows: of the table, the baseline's among them.
    """
    seeds = len(by_cell(rows)[BASELINE])
    if not found:
        return f"Nothing: {BASELINE} is alone."
    if seeds < 2:
        return (
            "Nothing about the cells: with one seed each, the intervals over photos compare these very "
            "models, and another seed may turn every difference around."
        )
    count = sum(map(len, found.values()))
    photos = all(row.images for row in rows)
    named = [
        f"{cell} in {', '.join(names)}"
        for cell, of_cell in found.items()
        if (names := [_named(name, d, photos) for name, d in of_cell.items() if d.real])
    ]
    beyond = "the spread between seeds" + " and the choice of photos" * photos
    if not named:
        return (
            f"None of the {count} differences from {BASELINE} exceeds {beyond}, so no cell is shown to be "
            "better or worse, which does not show that they are equal."
        )
    by_chance = f"{chance(seeds) * count:.1f}"
    return (
        f"In this data and training, beyond {beyond}, these differ from {BASELINE}: {'; '.join(named)}; "
        f"but of {count} differences about {by_chance} would exceed their spread by chance, and the "
        "others are not shown to be real, nor their cells to be equal."
    )


def _named(name: str, d: Difference, photos: bool) -> str:
    """``photos``: whether others are judged by the photos too, as the likelihood is not."""
    by_seeds = ", by the seeds alone" * (photos and d.interval is None)
    return f"{LABELS.get(name, name)} ({'higher' if d.delta > 0 else 'lower'}{by_seeds})"
