"""Numbers that say whether to believe a model's attention maps, gathered over a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.data.photos.image import load_image
from captioner.data.photos.preprocess import Preprocess
from captioner.decoding.hypotheses import Hypothesis
from captioner.decoding.replay import attention_of
from captioner.errors import CaptionerError
from captioner.evaluation.grounding.deletion import Deletion, deletion_drops, summarize
from captioner.evaluation.grounding.grid_pointing import grid_pointing
from captioner.evaluation.grounding.measures import apart, moved, normalized_entropy
from captioner.evaluation.grounding.mosaics import GridPointing
from captioner.evaluation.grounding.naming import Named, named_in_caption, named_in_reference, word_kinds
from captioner.evaluation.grounding.placement import PlacedWord, Placement, placements
from captioner.evaluation.grounding.receptive_field import ReceptiveField, receptive_field
from captioner.evaluation.grounding.subject import Subject
from captioner.features.encode import pixels_of

FIELD_IMAGES = 16  # that the receptive field is measured on


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
        deletion_seed: of the random locations, and of the mosaics.
        mosaics: whether a word's map tells which of four images the word is of; None where no word could.
        field: how much of a photo an annotation sees.
    """

    captions: dict[str, Placement]
    identified: float | None
    references: dict[str, Placement]
    entropy: float
    moved: float
    apart: float
    deletion: Deletion
    deletion_seed: int
    mosaics: GridPointing | None = None
    field: ReceptiveField | None = None


def attention_report(
    subject: Subject,
    hypotheses: Sequence[Hypothesis],
    deletion_images: int = 1000,
    deletion_seed: int = 0,
    mosaics: int = 250,
) -> AttentionReport:
    """Measure the maps of the captions that the model wrote, and where there are boxes the references' too.

    Args:
        hypotheses: the split's captions, with attention.
        deletion_images: deletion is measured on at most this many images, drawn by ``deletion_seed``.
        mosaics: at most this many are shown, likewise.

    Raises:
        CaptionerError: the encoder has one location, or no caption has a word.
    """
    if subject.grid == (1, 1):
        raise CaptionerError("grounding: the encoder has a single location, there is nothing to choose from")
    maps = [h.attention for h in hypotheses if h.attention is not None]
    if not maps:
        raise CaptionerError("grounding: the model wrote no words")
    captions, identified, references = _placed(subject, hypotheses)
    return AttentionReport(
        captions,
        identified,
        references,
        _mean([normalized_entropy(m) for m in maps]),
        _mean([moved(m) for m in maps]),
        _mean([apart(m) for m in maps]),
        _deletion(subject, [h.words for h in hypotheses], deletion_images, deletion_seed),
        deletion_seed,
        grid_pointing(subject, hypotheses, mosaics, deletion_seed),
        _field(subject),
    )


def _placed(
    subject: Subject, hypotheses: Sequence[Hypothesis]
) -> tuple[dict[str, Placement], float | None, dict[str, Placement]]:
    """``captions``, ``identified`` and ``references`` of the report."""
    records, vocabulary = subject.split.records, subject.vocabulary
    if vocabulary.unit != "word" or not any(record.groundings for record in records):
        return {}, None, {}
    kinds = word_kinds(records)
    texts = [[vocabulary.words[i] for i in h.words] for h in hypotheses]
    named = [named_in_caption(text, record, kinds) for text, record in zip(texts, records)]
    content = sum(word in kinds for text in texts for word in text)
    identified = sum(map(len, named)) / content if content else None
    sizes = [load_image(r.source).size if r.groundings else (1, 1) for r in records]
    written = zip(range(len(records)), [h.attention for h in hypotheses], named)
    captions, references = (
        placements(_placed_words(found, sizes, subject.preprocess), subject.grid)
        for found in (written, _references(subject))
    )
    return captions, identified, references


def _references(subject: Subject) -> Iterator[tuple[int, Tensor, list[Named]]]:
    """Image, maps and named words of every reference caption that has groundings."""
    records = subject.split.records
    pairs = sorted({(g.caption, i) for i, record in enumerate(records) for g in record.groundings})
    for batch in subject.batches(pairs, "reading references"):
        annotations = subject.annotations([i for _, i in batch])
        captions = [subject.vocabulary.encode(records[i].captions[c])[:-1] for c, i in batch]
        for (c, i), maps in zip(batch, attention_of(subject.model.decoder, annotations, captions)):
            yield i, maps, named_in_reference(records[i], c)


def _placed_words(
    captions: Iterable[tuple[int, Tensor | None, list[Named]]],
    sizes: Sequence[tuple[int, int]],
    preprocess: Preprocess,
) -> list[PlacedWord]:
    """The words that name something which the model sees at least a part of."""
    placed = []
    for image, maps, named in captions:
        for word, kind, box in named:
            left, top, right, bottom = place = preprocess.place(box, sizes[image])
            if maps is not None and left < right and top < bottom:
                placed.append(PlacedWord(kind, image, maps[word], place))
    return placed


def _deletion(subject: Subject, captions: Sequence[Sequence[int]], most: int, seed: int) -> Deletion:
    """Deletion in the captions that the model wrote, of ``most`` images."""
    order = torch.randperm(len(subject.split), generator=torch.Generator().manual_seed(seed))
    chosen = order[:most].sort().values.tolist()
    drops = [
        deletion_drops(
            subject.model.decoder,
            subject.annotations(images),
            [captions[i] for i in images],
            [seed * 1_000_003 + i for i in images],
        )
        for images in subject.batches(chosen, "deleting")
    ]
    return summarize(torch.cat(drops), [len(captions[i]) for i in chosen])


def _field(subject: Subject) -> ReceptiveField:
    records = subject.split.records[:FIELD_IMAGES]
    pixels = torch.stack([pixels_of(subject.preprocess, record) for record in records])
    return receptive_field(subject.model.encoder.eval(), pixels)


def _mean(parts: Sequence[Tensor]) -> float:
    """Over all words."""
    values = torch.cat(list(parts))
    return float(values.double().mean()) if len(values) else 0.0
