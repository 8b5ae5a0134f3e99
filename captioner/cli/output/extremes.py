"""The best and worst captions of an evaluation as one page, with photos, and attention where it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from captioner.config.schema import EvaluateConfig
from captioner.data.photos.image import load_image
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import Evaluation
from captioner.predictor import load
from captioner.visualize.page import Entry, entry, save_page
from captioner.visualize.scored import SIDE, Row, save_scored

RANKED_BY = ("CIDEr", "CIDEr-D", "BLEU-1")  # the first that single images have


def extremes(evaluation: Evaluation, count: int) -> tuple[str, list[int], list[int]]:
    """The score that ranks the images, the numbers of the best, and those of the worst, the worst first.

    Each has at most ``count``, no image is in both, and of equal scores the earlier image comes first.
    """
    score = next(name for name in RANKED_BY if name in evaluation.images[0])
    values = [image[score] for image in evaluation.images]
    order = sorted(range(len(values)), key=lambda number: -values[number])
    best = order[: min(count, (len(order) + 1) // 2)]
    rest = order[len(best) :]
    return score, best, rest[::-1][:count]


def save_extremes(evaluation: Evaluation, config: EvaluateConfig, path: Path) -> None:
    """Write the page.

    A model captions these photos once more, to see where it looks, and what else it might have said. Captions
    of a file are shown with their references and scores.

    Raises:
        CaptionerError: a photo cannot be read any more, or the file cannot be written.
    """
    score, best, worst = extremes(evaluation, config.page_images)
    chosen = [*best, *worst]
    records = [evaluation.records[number] for number in chosen]
    names = _names(evaluation, score, best, worst)
    title = f"Best and worst captions by {score}: {config.data.name} {config.split}"
    if config.predictions is not None:
        save_scored(_rows(evaluation, chosen, names, records), path, title)
    else:
        save_page(_entries(config, names, records), path, title)


def _rows(
    evaluation: Evaluation, chosen: Sequence[int], names: Sequence[str], records: Sequence[Record]
) -> Iterator[Row]:
    for number, name, record in zip(chosen, names, records):
        scores = ", ".join(f"{key} {100 * value:.1f}" for key, value in evaluation.images[number].items())
        photo = load_image(record.source, SIDE)
        yield Row(photo, name, evaluation.captions[number]["caption"], record.captions, scores)


def _entries(config: EvaluateConfig, names: Sequence[str], records: Sequence[Record]) -> list[Entry]:
    predictor = load(config.checkpoint, config.run.device, config.precision)
    if config.inference is not None:
        for model in predictor.models:
            model.decoder.attention.look.infer_by(config.inference)
    sources = [record.source for record in records]
    captions = predictor.caption_many(sources, config.search, True, config.batch_size, config.run.workers)
    entries = []
    for name, caption in zip(names, captions):
        if isinstance(caption, CaptionerError):
            raise caption
        entries.append(entry(caption, name))
    return entries


def _names(evaluation: Evaluation, score: str, best: Sequence[int], worst: Sequence[int]) -> list[str]:
    return [
        f"{kind} {place}: {score} {100 * evaluation.images[number][score]:.1f}, "
        f"{evaluation.captions[number]['image_id']}"
        for kind, numbers in (("best", best), ("worst", worst))
        for place, number in enumerate(numbers, 1)
    ]
