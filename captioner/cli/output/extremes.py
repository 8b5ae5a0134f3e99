"""The best and the worst captions of an evaluation as one page, with photos and attention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.config.schema import EvaluateConfig
from captioner.errors import CaptionerError
from captioner.evaluation.evaluate import Evaluation
from captioner.features.records import read_split
from captioner.predictor import load
from captioner.visualize.page import entry, save_page

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

    The model captions these photos once more, to see where it looks, and what else it might have said.

    Raises:
        CaptionerError: a photo cannot be read any more, or the file cannot be written.
    """
    score, best, worst = extremes(evaluation, config.page_images)
    chosen = [evaluation.captions[number]["image_id"] for number in (*best, *worst)]
    wanted, records = set(chosen), read_split(config.data, config.split, config.run)
    source_of = {record.image_id: record.source for record in records if record.image_id in wanted}
    sources = [source_of[image_id] for image_id in chosen]
    predictor = load(config.checkpoint, config.run.device, config.precision)
    if config.inference is not None:
        for model in predictor.models:
            model.decoder.attention.look.infer_by(config.inference)
    captions = predictor.caption_many(sources, config.search, True, config.batch_size, config.run.workers)
    entries = []
    for name, caption in zip(_names(evaluation, score, best, worst), captions):
        if isinstance(caption, CaptionerError):
            raise caption
        entries.append(entry(caption, name))
    save_page(entries, path, f"Best and worst captions by {score}: {config.data.name} {config.split}")


def _names(evaluation: Evaluation, score: str, best: Sequence[int], worst: Sequence[int]) -> list[str]:
    return [
        f"{kind} {place}: {score} {100 * evaluation.images[number][score]:.1f}, "
        f"{evaluation.captions[number]['image_id']}"
        for kind, numbers in (("best", best), ("worst", worst))
        for place, number in enumerate(numbers, 1)
    ]
