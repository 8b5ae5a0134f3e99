"""Numbers that say whether to believe a model's attention maps, gathered over a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from captioner.data.batches import Split, gather
from captioner.data.images import load_image
from captioner.data.preprocess import Preprocess
from captioner.errors import CaptionerError
from captioner.faithfulness import Deletion, deletion_drops, summarize
from captioner.grounding import apart, moved, normalized_entropy
from captioner.hypotheses import Hypothesis
from captioner.model import Captioner
from captioner.naming import Named, named_in_caption, named_in_reference, word_kinds
from captioner.placement import Placement, Sight, placements
from captioner.replay import attention_of
from captioner.vocabulary import Vocabulary

T = TypeVar("T")


@dataclass(frozen=True)
class AttentionReport:
    """What is known of a model's maps on a split. Definitions: docs/attention.md.

    Attributes:
        captions: by word class, and ``all``: placement in the model's own captions, over words that name
            one object without doubt. Empty where the data has no boxes.
        identified: the share of all words of these classes in its captions that do.
        references: the same, feeding the reference captions; every word of a class counts.
        entropy: of a word's map over that of a uniform one.
        moved: share of the attention that moves from a word to the next.
        apart: total variation distance of a word's map from its caption's mean map.
        deletion: what looking there was worth to the word.
        deletion_seed: of the random locations.
    """

    captions: dict[str, Placement]
    identified: float | None
    references: dict[str, Placement]
    entropy: float
    moved: float
    apart: float
    deletion: Deletion
    deletion_seed: int


def attention_report(
    model: Captioner,
    split: Split,
    hypotheses: Sequence[Hypothesis],
    vocabulary: Vocabulary,
    preprocess: Preprocess,
    device: torch.device,
    batch_size: int = 32,
    deletion_images: int = 1000,
    deletion_seed: int = 0,
    progress: bool = False,
) -> AttentionReport:
    """Measure the maps of the captions that the model wrote, and where there are boxes the references' too.

    Args:
        hypotheses: the split's captions, with attention.
        deletion_images: deletion is measured on so many images at the most, drawn by ``deletion_seed``.

    Raises:
        CaptionerError: the encoder has one location, or no caption has a word.
    """
    grid = (model.encoder.grid[0], model.encoder.grid[1])
    if grid == (1, 1):
        raise CaptionerError("grounding: the encoder has a single location, there is nothing to choose from")
    maps = [h.attention for h in hypotheses if h.attention is not None]
    if not maps:
        raise CaptionerError("grounding: the model wrote no words")
    captions, identified, references = _placed(
        model, split, hypotheses, vocabulary, preprocess, device, batch_size, progress
    )
    words = [h.words for h in hypotheses]
    return AttentionReport(
        captions,
        identified,
        references,
        _mean([normalized_entropy(m) for m in maps]),
        _mean([moved(m) for m in maps]),
        _mean([apart(m) for m in maps]),
        _deletion(model, split, words, device, batch_size, deletion_images, deletion_seed, progress),
        deletion_seed,
    )


def _placed(
    model: Captioner,
    split: Split,
    hypotheses: Sequence[Hypothesis],
    vocabulary: Vocabulary,
    preprocess: Preprocess,
    device: torch.device,
    batch_size: int,
    progress: bool,
) -> tuple[dict[str, Placement], float | None, dict[str, Placement]]:
    """``captions``, ``identified`` and ``references`` of the report."""
    records, grid = split.records, (model.encoder.grid[0], model.encoder.grid[1])
    if vocabulary.unit != "word" or not any(record.groundings for record in records):
        return {}, None, {}
    kinds = word_kinds(records)
    texts = [[vocabulary.words[i] for i in h.words] for h in hypotheses]
    named = [named_in_caption(text, record, kinds) for text, record in zip(texts, records)]
    content = sum(word in kinds for text in texts for word in text)
    identified = sum(map(len, named)) / content if content else None
    sizes = [load_image(r.source).size if r.groundings else (1, 1) for r in records]
    written = zip(range(len(records)), [h.attention for h in hypotheses], named)
    read = _references(model, split, vocabulary, device, batch_size, progress)
    captions, references = (placements(_sights(c, sizes, preprocess), grid) for c in (written, read))
    return captions, identified, references


def _deletion(
    model: Captioner,
    split: Split,
    captions: Sequence[Sequence[int]],
    device: torch.device,
    batch_size: int,
    most: int,
    seed: int,
    progress: bool,
) -> Deletion:
    """Deletion in the captions that the model wrote, of ``most`` images."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    chosen = order[:most].sort().values.tolist()
    batches = _batches(chosen, batch_size)
    drops = [
        deletion_drops(
            model.decoder,
            _annotations(model, split, rows, device),
            [captions[i] for i in rows],
            [seed * 1_000_003 + i for i in rows],
        )
        for rows in tqdm(batches, "deleting", unit="batch", leave=False, disable=not progress)
    ]
    return summarize(torch.cat(drops), [len(captions[i]) for i in chosen])


def _sights(
    captions: Iterable[tuple[int, Tensor | None, list[Named]]],
    sizes: Sequence[tuple[int, int]],
    preprocess: Preprocess,
) -> list[Sight]:
    """The words that name something which the model sees at least a part of."""
    sights = []
    for image, maps, named in captions:
        for word, kind, box in named:
            left, top, right, bottom = place = preprocess.place(box, sizes[image])
            if maps is not None and left < right and top < bottom:
                sights.append(Sight(kind, image, maps[word], place))
    return sights


def _references(
    model: Captioner,
    split: Split,
    vocabulary: Vocabulary,
    device: torch.device,
    batch_size: int,
    progress: bool,
) -> Iterator[tuple[int, Tensor, list[Named]]]:
    """Image, maps and named words of every reference caption that has groundings."""
    pairs = sorted({(g.caption, i) for i, r in enumerate(split.records) for g in r.groundings})
    batches = _batches(pairs, batch_size)
    for batch in tqdm(batches, "reading references", unit="batch", leave=False, disable=not progress):
        annotations = _annotations(model, split, [i for _, i in batch], device)
        captions = [vocabulary.encode(split.records[i].captions[c])[:-1] for c, i in batch]
        for (c, i), maps in zip(batch, attention_of(model.decoder, annotations, captions)):
            yield i, maps, named_in_reference(split.records[i], c)


@torch.inference_mode()
def _annotations(model: Captioner, split: Split, rows: Sequence[int], device: torch.device) -> Tensor:
    return model.encoder.tail(gather(split.features, rows).to(device))


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _mean(parts: Sequence[Tensor]) -> float:
    """Over all words."""
    values = torch.cat(list(parts))
    return float(values.double().mean()) if len(values) else 0.0
