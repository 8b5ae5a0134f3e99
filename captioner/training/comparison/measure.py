"""What a finished run of a comparison comes to: speed, likelihood, scores, and its gradient's reach."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from captioner.checkpoint.file import load_checkpoint
from captioner.config.schema import TrainConfig
from captioner.evaluation.captions import caption_split
from captioner.features.captioned import CaptionedSplit
from captioner.kernels.precision import autocast
from captioner.metrics.coco import coco_scores
from captioner.metrics.table import SCORES, compared
from captioner.system.device import choose_device
from captioner.training.comparison.gradient_reach import STEPS, gradient_reach
from captioner.training.comparison.likelihood import mean_nll
from captioner.training.comparison.results import numbers_of_images
from captioner.training.run_folder import MODEL_FILE, TIMINGS_FILE
from captioner.training.setup import Setup


def measure(
    config: TrainConfig, setup: Setup, folder: Path
) -> tuple[dict[str, float], dict[str, str], dict[str, list[list[float]]]]:
    """All values of a :class:`Row`, what is missing, and its images, of the weights that the run kept."""
    device = choose_device(config.run.device)
    checkpoint = load_checkpoint(folder / MODEL_FILE, device)
    model, vocabulary, dev = checkpoint.model, checkpoint.vocabulary, setup.val
    lines = (folder / TIMINGS_FILE).read_text(encoding="utf-8").splitlines()
    values = {"words_per_second": statistics.median(json.loads(line)["words_per_second"] for line in lines)}
    missing: dict[str, str] = {}

    captioned = CaptionedSplit.build(dev, vocabulary, config.training.max_caption_length)
    with autocast(device, config.training.precision):
        hypotheses = caption_split(model, dev, config.search, device, progress=config.run.progress)
        values["train_nll"] = mean_nll(model, setup.train, device)
        values["dev_nll"] = mean_nll(model, captioned, device)
    texts = [vocabulary.text(h.words) for h in hypotheses]
    captions = [record.captions for record in dev.records]
    coco = coco_scores(texts, captions, vocabulary.unit, meteor=SCORES["METEOR"].compared)
    values |= {name: coco.values[name] for name in compared() if name in coco.values}
    missing |= {name: coco.missing[name] for name in compared() if name in coco.missing}
    words = [vocabulary.decode(h.words) for h in hypotheses]
    own = setup.references.statistics(words, compared())
    found = {name: score for part in own for name, score in part.corpus().items()}
    found |= setup.references.scores_of(words, set(compared()) - set(found))
    values |= {name: found[name] for name in compared() if name in found}
    known = [*own, *coco.statistics]
    images = numbers_of_images([part for part in known if set(part.corpus()).intersection(compared())])

    reach = gradient_reach(model, captioned, device)
    values |= {f"gradient_{k}": norm for k, norm in enumerate(reach.relative)}
    if not reach.captions:
        missing["gradient"] = f"no dev caption has {STEPS + 1} words"
    return values, missing, images
