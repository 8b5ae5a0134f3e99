"""METEOR, ROUGE-L and CIDEr, by COCO's evaluation code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from captioner.metrics.bleu import check_scorable
from captioner.metrics.english import is_english
from captioner.metrics.java import JavaError
from captioner.metrics.meteor import meteor as meteor_score
from captioner.metrics.meteor_formula import meteor_statistics
from captioner.metrics.ptb import ptb_tokenize
from captioner.metrics.statistics import Statistics, mean_statistics
from captioner.vocabulary import tokenize


@dataclass(frozen=True)
class Scores:
    """What :func:`coco_scores` found.

    Attributes:
        values: ``METEOR`` (0 to 1), ``ROUGE-L`` (0 to 1) and ``CIDEr`` (0 to 10), those that could
            be computed.
        tokenizer: ``ptb``, the one that published scores of English use, or ``captioner (word)`` and
            ``captioner (character)``, our own units, whose scores of English differ a little.
        missing: each score that could not be computed, with the reason or what to do about it.
        meteor: how METEOR matched words, ``english`` or ``exact``; None if it was not computed.
        statistics: what the scores are computed from, for those of which it is known.
    """

    values: Mapping[str, float]
    tokenizer: str
    missing: Mapping[str, str] = field(default_factory=dict)
    meteor: str | None = None
    statistics: Sequence[Statistics] = ()


def coco_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], unit: str = "word", meteor: bool = True
) -> Scores:
    """METEOR, ROUGE-L and CIDEr of COCO's evaluation code, as far as what is installed allows.

    English is scored as in the literature, by Penn Treebank tokens; other languages by our own units,
    and METEOR matches only what is equal.

    Args:
        hypotheses: one caption per image, as text.
        references: for each image one or more captions, as text.
        unit: ``word`` or ``character``, what our own units are.
        meteor: False leaves METEOR out, which takes seconds to start.

    Raises:
        CaptionerError: there is nothing to score, or an image without reference.
    """
    check_scorable(hypotheses, references)
    own = f"captioner ({unit})"
    try:
        import pycocoevalcap.meteor.meteor
        import pycocoevalcap.tokenizer.ptbtokenizer  # noqa: F401
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError:
        way = "pip install 'captioner[coco]'"
        return Scores({}, own, dict.fromkeys(("METEOR", "ROUGE-L", "CIDEr"), way))

    captions = [*hypotheses, *chain.from_iterable(references)]
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    statistics: list[Statistics] = []
    tokenized, tokenizer = (" ".join(tokenize(caption, unit)) for caption in captions), own
    english = is_english(references, unit)
    if english:
        try:
            tokenized, tokenizer = (line for line in ptb_tokenize(captions)), "ptb"
        except JavaError as error:
            missing["METEOR"] = str(error)
    found = {i: [next(tokenized)] for i in range(len(hypotheses))}
    wanted = {i: list(islice(tokenized, len(texts))) for i, texts in enumerate(references)}

    if meteor and not missing:
        try:
            by_program = meteor_score(found, wanted, english)
            values["METEOR"] = by_program.corpus
            if (of_meteor := meteor_statistics(by_program, english)) is not None:
                statistics.append(of_meteor)
        except JavaError as error:
            missing["METEOR"] = str(error)
    scorers = {"ROUGE-L": Rouge(), **({"CIDEr": Cider()} if len(hypotheses) > 1 else {})}
    for name, scorer in scorers.items():
        score, of_images = scorer.compute_score(wanted, found)
        values[name] = float(score)
        statistics.append(mean_statistics(name, np.asarray(of_images)))
    if "CIDEr" not in values:
        missing["CIDEr"] = "it weighs words by how few images have them, and there is one image"
    matching = ("english" if english else "exact") if "METEOR" in values else None
    return Scores(values, tokenizer, missing, matching, statistics)
