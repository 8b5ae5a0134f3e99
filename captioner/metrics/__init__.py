"""How well captions match the references; :mod:`captioner.metrics.table` names every score."""

from captioner.metrics.table import SCORES, Score, compared, evaluated, selectable, validated

__all__ = ["SCORES", "Score", "compared", "evaluated", "selectable", "validated"]
