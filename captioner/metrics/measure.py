"""What a metric of our own words is: a function of references that gives a function of captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Words = Sequence[str]
References = Sequence[Sequence[Words]]  # for each image the words of one or more captions
Measure = Callable[[Sequence[Words]], dict[str, float]]  # from one caption per image to scores by name
