"""How far a caption's maps may be believed: a line about the model, and which words' maps say nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from captioner.visualize.overlay import Floats

QUIET = 0.15  # total variation distance from the mean map; below it peaks are near chance (docs/attention.md)
LOOKED = 0.5  # of the gate to the image; for a word with less the image counts little
FADED = 0.3  # of the colours' strength, for a quiet map
UNMEASURED = (
    "How far this model's maps may be believed was not measured: captioner evaluate grounding=true "
    "output=DIR measures it, captioner average MODEL --scores DIR --output FILE writes it into a model file."
)


def apart(attention: Floats) -> NDArray[np.float64]:
    """How far each word's map is from the mean map of the caption, ``(words,)``.

    The total variation distance, which share of the attention would have to move: 0 if the maps are equal,
    1 if they have no location in common. ``captioner evaluate grounding=true`` tells its mean as ``apart``.

    Args:
        attention: ``(words, rows, columns)``.
    """
    if not len(attention):
        return np.zeros(0)
    maps = attention.reshape(len(attention), -1).astype(float)
    return np.abs(maps - maps.mean(0)).sum(-1) / 2


def quiet(attention: Floats) -> list[bool]:
    """Which words' maps differ so little from the caption's mean map that they tell nothing of the word.

    A caption of a single word has nothing to differ from; its map is never quiet.
    """
    return [len(attention) > 1 and bool(distance < QUIET) for distance in apart(attention)]


def maps_note(grounding: Mapping[str, float] | None) -> str:
    """What was measured of the model's maps, as a line for people, or that and how it can be measured.

    Args:
        grounding: ``Checkpoint.grounding``.
    """
    found = grounding or {}
    told = []
    if "peak" in found:
        beside = [f"chance {_percent(found['chance'])}"] if "chance" in found else []
        beside += [f"at best {_percent(found['alone'])}"] if "alone" in found else []
        if "peak_from" in found and "peak_to" in found:
            low, high = (f"{100 * found[end]:.0f}" for end in ("peak_from", "peak_to"))
            beside.insert(0, f"95 % interval {low} to {high}")
        note = f"Its maps point at the right one of four photos for {_percent(found['peak'])} of the words"
        told.append(note + (f" ({', '.join(beside)})" if beside else ""))
    if "half" in found:
        told.append(
            f"half of what a cell sees lies in a square of {_percent(found['half'])} of the photo's side"
        )
    if not told:
        return UNMEASURED
    line = "; ".join(told)
    return f"{line[0].upper()}{line[1:]}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
