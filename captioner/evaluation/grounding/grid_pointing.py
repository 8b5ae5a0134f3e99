"""Mosaics of a split's images, captioned, and where the maps of their words stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from tqdm import tqdm

from captioner.data.photos.mosaics import draw_mosaics, mosaic_of
from captioner.decoding.hypotheses import Hypothesis
from captioner.decoding.replay import replay
from captioner.decoding.search import search
from captioner.evaluation.grounding.deletion import log_prob_drops
from captioner.evaluation.grounding.measures import apart
from captioner.evaluation.grounding.mosaics import (
    GridPointing,
    QuadrantWord,
    alone,
    quadrant_drops,
    summarize_mosaics,
    telling_words,
)
from captioner.evaluation.grounding.subject import Subject
from captioner.features.encode import encode
from captioner.features.split import gather
from captioner.system.terminal import no_bar


@torch.inference_mode()
def grid_pointing(
    subject: Subject, hypotheses: Sequence[Hypothesis], most: int, seed: int
) -> GridPointing | None:
    """Whether the maps of the model's captions of mosaics stand on the images that their words are of.

    Args:
        hypotheses: the model's captions of the images by themselves.
        most: mosaics, at most; no image is shown twice.

    Returns:
        None where no word tells: the split has fewer than four images, or its words are characters.
    """
    records, vocabulary, model = subject.split.records, subject.vocabulary, subject.model
    numbers = draw_mosaics(len(records), most, seed)
    shown = [[records[i] for i in four] for four in numbers]
    if vocabulary.unit != "word" or not shown:
        return None
    drawn = [mosaic_of(four, subject.preprocess) for four in shown]
    encoded = encode(model.encoder, subject.preprocess, drawn, subject.device, subject.workers)
    captions: list[Sequence[int]] = []
    found: list[QuadrantWord] = []
    for features in tqdm(encoded, "mosaics", unit="batch", leave=False, disable=no_bar(subject.progress)):
        annotations = model.encoder.tail(gather(features, range(len(features))).to(subject.device))
        first = len(captions)
        captions += [hypotheses[0].words for hypotheses in search(model.decoder, annotations, subject.search)]
        steps = list(replay(model.decoder, annotations, captions[first:]))
        drops = quadrant_drops(steps, subject.grid, partial(log_prob_drops, model.decoder))
        for number in range(first, len(captions)):
            text = [vocabulary.words[i] for i in captions[number]]
            row = number - first
            maps = [at.step.alpha[row].float().cpu() for at in steps[: len(text)]]
            far = apart(torch.stack(maps)).tolist() if len(text) > 1 else [math.nan] * len(text)
            for place, quadrant in telling_words(text, shown[number]):
                found.append(QuadrantWord(number, quadrant, maps[place], drops[row, place], far[place]))
    if not found:
        return None
    said = [[[vocabulary.words[i] for i in hypotheses[n].words] for n in four] for four in numbers]
    return replace(summarize_mosaics(found, subject.grid, len(shown)), alone=alone(shown, said))
