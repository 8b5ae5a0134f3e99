"""How well captions match the references; :mod:`captioner.metrics.table` names every score."""

from captioner.metrics.table import SCORES, SELECTABLE, Score, compared, evaluated, validated

__all__ = ["SCORES", "SELECTABLE", "Score", "compared", "evaluated", "validated"]
