"""A caption of an image, and where the model looked for every word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from captioner.data.records import Box

Scored = tuple[str, float]  # a word or a caption, and its log probability in nats


@dataclass(frozen=True)
class Caption:
    """What the model says of an image, and where it looked for every word.

    Everything with a default is None unless attention was requested.

    Attributes:
        log_prob: of the whole caption, its end included, in nats.
        word_log_probs: of each word.
        attention: ``(words, rows, columns)`` float32, each word's weights summing to 1.
        betas: how much the image counted at each word, relative to the previous words: the gate beta, or what
            the sentinel's weight leaves of 1; None without either too.
        image: the square that the model saw.
        photo: all of the photo, upright, no side longer than 800 pixels.
        frame: where in ``photo`` the square stands: left, top, right, bottom.
        beam: the other captions that the search finished, the best first.
        alternatives: for each word its most likely alternatives, usually including the word itself, the most
            likely first; None too where hard attention draws its locations.
        gates: how far each of the cell's gates opened at each word, the mean over its units, by the
            gate's name, and over the members of an ensemble; None too for a cell without gates, where hard
            attention draws, and of members whose gates differ.
        scores: what ranked this caption and then each of ``beam``: the log probability divided by the number
            of words, the end included, to the power of ``length_normalization``.
        unfamiliar: whether the confidence is so low that the photo must be unlike those that the model
            knows; never of a model that has no threshold, and of an ensemble.
        grounding: how far this model's maps may be believed, as ``Checkpoint.grounding``; None too where it
            was not measured, and of an ensemble.
    """

    text: str
    words: tuple[str, ...]
    log_prob: float
    word_log_probs: tuple[float, ...]
    attention: np.ndarray | None = None
    betas: tuple[float, ...] | None = None
    image: Image.Image | None = None
    photo: Image.Image | None = None
    frame: Box | None = None
    beam: tuple[Scored, ...] | None = None
    alternatives: tuple[tuple[Scored, ...], ...] | None = None
    gates: dict[str, tuple[float, ...]] | None = None
    scores: tuple[float, ...] | None = None
    unfamiliar: bool = False
    grounding: Mapping[str, float] | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def confidence(self) -> float:
        """Mean log probability per word, the caption's end counted as one, in nats."""
        return self.log_prob / (len(self.words) + 1)
