"""Free-running captions of a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tqdm import tqdm

from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.decoding.ensemble import Ensemble
from captioner.decoding.hypotheses import Hypothesis
from captioner.decoding.search import search
from captioner.features.split import Split
from captioner.model.captioner import Captioner
from captioner.system.terminal import no_bar


def caption_split(
    model: Captioner,
    split: Split,
    options: SearchConfig,
    device: torch.device,
    batch_size: int = SEARCHED_TOGETHER,
    progress: bool = False,
    after_batch: Callable[[], None] = lambda: None,
) -> list[Hypothesis]:
    """The best hypothesis for every image of the split; the references are never looked at."""
    return caption_together([model], [split], options, device, batch_size, progress, after_batch)


@torch.inference_mode()
def caption_together(
    models: Sequence[Captioner],
    splits: Sequence[Split],
    options: SearchConfig,
    device: torch.device,
    batch_size: int = SEARCHED_TOGETHER,
    progress: bool = False,
    after_batch: Callable[[], None] = lambda: None,
    attention: bool = False,
) -> list[Hypothesis]:
    """The same of an ensemble; ``splits`` hold the same images with each member's features.

    With ``attention`` the hypotheses bring their attention weights.
    """
    ensemble = Ensemble([model.eval().decoder for model in models])
    best = []
    batches = tqdm(
        zip(*(split.batches(batch_size) for split in splits)),
        "captioning",
        total=-(-len(splits[0]) // batch_size),
        unit="batch",
        leave=False,
        disable=no_bar(progress),
    )
    for features in batches:
        annotations = [m.encoder.tail(part.to(device)) for m, part in zip(models, features)]
        found = search(ensemble, annotations, options, attention)
        best += [hypotheses[0] for hypotheses in found]
        after_batch()
    return best
