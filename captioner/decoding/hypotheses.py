"""What a search finds, and the back-pointers that it is read back from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.errors import CaptionerError


@dataclass(frozen=True)
class Hypothesis:
    """One caption that the search found.

    Attributes:
        words: indices, without ``<end>``.
        word_log_probs: log probability of each word, and of ``<end>`` last where it was reached.
        finished: whether the caption ended with ``<end>``.
        score: what hypotheses are ranked by.
        attention: ``(words, locations)``, float32 on the CPU; None unless requested.
        betas: ``(words,)``, likewise; None without gate and sentinel too.
    """

    words: tuple[int, ...]
    word_log_probs: tuple[float, ...]
    finished: bool
    score: float
    attention: Tensor | None = None
    betas: Tensor | None = None

    @property
    def log_prob(self) -> float:
        return sum(self.word_log_probs)


@dataclass
class SearchStep:
    """One step: the extensions that were picked, and how their parents looked at the image.

    Attributes:
        parent: the live row that each extension continues.
        word, log_prob: of each extension.
        survivors: the extension that each live row of the next step is.
        alpha: ``(live rows, locations)``, beta: ``(live rows,)``.
    """

    parent: list[int]
    word: list[int]
    log_prob: list[float]
    survivors: list[int]
    alpha: Tensor | None
    beta: Tensor | None


class History:
    """The steps of a search so far. Without attention a step is a few numbers per hypothesis.

    Args:
        length_normalization: the score is log_prob / words ** this, ``<end>`` counted as a word.
    """

    def __init__(self, length_normalization: float) -> None:
        self.steps: list[SearchStep] = []
        self.length_normalization = length_normalization

    def read(self, last: int, extension: int, finished: bool) -> Hypothesis:
        """The hypothesis that ends in an extension of the step ``last``.

        Raises:
            CaptionerError: a probability is NaN, as every further one and every image's would be.
        """
        path: list[tuple[SearchStep, int]] = []
        for t in range(last, -1, -1):
            step = self.steps[t]
            path.append((step, extension))
            if t:
                extension = self.steps[t - 1].survivors[step.parent[extension]]
        path.reverse()
        words = tuple(step.word[i] for step, i in path)
        log_probs = tuple(step.log_prob[i] for step, i in path)
        score = sum(log_probs) / len(words) ** self.length_normalization
        if math.isnan(score):
            raise CaptionerError("search: the model's probabilities are NaN, its weights are damaged")
        shown = path[:-1] if finished else path  # <end> was looked for, but is not shown
        alphas = [s.alpha[s.parent[i]] for s, i in shown if s.alpha is not None]
        betas = [s.beta[s.parent[i]] for s, i in shown if s.beta is not None]
        return Hypothesis(
            words[: len(shown)],
            log_probs,
            finished,
            score,
            torch.stack(alphas) if alphas else None,
            torch.stack(betas) if betas else None,
        )
