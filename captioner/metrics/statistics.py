"""What a score of a corpus is computed from: numbers of every image, which are summed over images.

BLEU of a corpus is not the mean over its images, but a function of counts that are summed first, and so is
METEOR. ROUGE-L and CIDEr are means. In this form the score of any choice of images, drawn with repetition for
one, takes a sum and a few divisions; no caption is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Sums = np.ndarray  # (..., numbers)
ScoresOf = Callable[[Sums], dict[str, np.ndarray]]  # scores by name, each (...)


@dataclass(frozen=True)
class Statistics:
    """The numbers of every image, and the scores of their sums.

    Attributes:
        values: ``(images, numbers)``.
        scores_of: from sums over images, ``(..., numbers)``, to scores by name, each ``(...)``.
    """

    values: np.ndarray
    scores_of: ScoresOf

    def corpus(self) -> dict[str, float]:
        """The scores of all images together."""
        return {name: float(score) for name, score in self.scores_of(self.values.sum(0)).items()}

    def images(self) -> dict[str, np.ndarray]:
        """The scores of each image by itself, ``(images,)``."""
        return self.scores_of(self.values)


def mean_of(name: str) -> ScoresOf:
    """The score ``name`` as a mean over images; the numbers are the image's score, and 1."""
    return lambda sums: {name: sums[..., 0] / sums[..., 1]}


def mean_statistics(name: str, scores: np.ndarray) -> Statistics:
    """A score that is a mean of the images' own, ``(images,)``."""
    return Statistics(np.stack([scores, np.ones(len(scores))], axis=-1), mean_of(name))
