"""Captions that break off after a word that no caption ends in."""

from __future__ import annotations

from collections.abc import Sequence

from captioner.metrics.measure import Measure, References

DANGLING = frozenset(("a", "an", "the", "of", "in", "with", "on", "and"))  # no English caption ends so


def dangling(captions: Sequence[Sequence[str]]) -> int:
    """How many captions break off after an article or a preposition."""
    return sum(caption[-1] in DANGLING for caption in captions if caption)


def against(references: References) -> Measure:
    """``dangling``, the share of such captions, which needs no reference."""
    return lambda captions: {"dangling": dangling(captions) / len(captions)}
