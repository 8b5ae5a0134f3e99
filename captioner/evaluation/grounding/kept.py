"""What of a measured grounding goes into the model file, so that a page can tell how far to believe a map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def kept_figures(grounding: Mapping[str, Any] | None) -> dict[str, float]:
    """A plain record of what ``scores.json`` has under ``grounding``, finite floats alone.

    Of :class:`captioner.evaluation.grounding.mosaics.GridPointing`: ``peak`` with its 95 % interval
    ``peak_from`` and ``peak_to``, ``chance``, ``mass``, ``alone`` where known, ``mosaics`` and ``words``. Of
    :class:`captioner.evaluation.grounding.receptive_field.ReceptiveField`: ``own_cell``, ``cell``, ``half``
    and ``most``. Empty where neither was measured, as in files of older evaluations.

    Raises:
        KeyError, TypeError, ValueError: what is there has another form, or is not finite.
    """
    found: dict[str, Any] = {}
    if grounding is not None and (mosaics := grounding.get("mosaics")) is not None:
        peak = mosaics["peak"]
        low, high = peak["interval"]
        found |= {"peak": peak["model"], "peak_from": low, "peak_to": high, "chance": peak["uniform"]}
        found |= {"mass": mosaics["mass"]["model"], "mosaics": mosaics["mosaics"], "words": mosaics["words"]}
        if mosaics.get("alone") is not None:
            found["alone"] = mosaics["alone"]
    if grounding is not None and (field := grounding.get("field")) is not None:
        found |= {name: field[name] for name in ("own_cell", "cell", "half", "most")}
    figures = {name: float(value) for name, value in found.items()}
    if not all(map(math.isfinite, figures.values())):
        raise ValueError("grounding: a figure is not a finite number")
    return figures
