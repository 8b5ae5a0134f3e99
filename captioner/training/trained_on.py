"""What a run is trained on, as its state keeps it: its words, and every image's name, bytes and captions.

Weights, optimizer and the place within an epoch mean something else with other data. A run therefore goes on
with the words that it began with, and only if its images and captions are still the same. Where the files
lie does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from captioner.config.data import VocabularyConfig
from captioner.config.training import TrainingConfig
from captioner.data.records import Record
from captioner.data.words import count_vocabulary
from captioner.errors import CaptionerError, first_line
from captioner.training.record_digests import SAMPLED, digests_of, name_of, size_of
from captioner.vocabulary import SPECIALS, Vocabulary

BATCHES = ("seed", "batch_size", "captions_per_image", "flip", "crop", "mosaics")
SPLITS = {"train": "training", "val": "validation"}
WHAT_TO_DO = "give the run its own data back, or start another one from its model with init=RUN"


def splits_of(train: Sequence[Record], val: Sequence[Record]) -> dict[str, Any]:
    """What is kept of the images and captions; of every photo some bytes are read, or of a sample of many."""
    return {split: digests_of(records) for split, records in (("train", train), ("val", val))}


def trained_on(vocabulary: Vocabulary, new_words: int, splits: dict[str, Any]) -> dict[str, Any]:
    """Plain values and tensors, small enough to be written at each save.

    Args:
        new_words: how many of the vocabulary's last words the model of ``init`` did not know.
        splits: from :func:`splits_of`.
    """
    words = list(vocabulary.words[len(SPECIALS) :])
    return {"words": words, "unit": vocabulary.unit, "new_words": new_words, "splits": splits}


def check_same(
    kept: dict[str, Any],
    splits: dict[str, Any],
    train: Sequence[Record],
    counted: VocabularyConfig | None,
) -> None:
    """Refuse other data than a run's own.

    Args:
        kept: from :func:`trained_on`.
        splits: what there is, from :func:`splits_of`.
        train: the training split.
        counted: how the vocabulary was counted on it; None: it was not.

    Raises:
        CaptionerError: names the first image that differs, in itself or its captions, and the first word.
    """
    for split, present in splits.items():
        try:
            known, before = kept["words"], kept["splits"][split]
            difference = _difference(before, present)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = first_line(error)
            raise CaptionerError(f"resume: the state's record of its data is damaged ({reason})") from error
        if difference:
            words = ""
            if split == "train" and counted is not None:
                words = _changed_words(known, count_vocabulary(train, counted).words[len(SPECIALS) :])
            raise CaptionerError(f"resume: the {SPLITS[split]} split {difference}{words}; {WHAT_TO_DO}")


def batches_of(options: TrainingConfig) -> dict[str, Any]:
    """What decides which images and captions the steps of an epoch see."""
    return {key: getattr(options, key) for key in BATCHES}


def check_same_batches(saved: dict[str, Any], options: TrainingConfig) -> None:
    """Refuse to end an epoch with other batches than it began with; a new epoch may have others.

    Args:
        saved: a run's state, whose ``data`` has what :func:`batches_of` gave.

    Raises:
        CaptionerError: names the first value that differs.
    """
    kept, sums = saved["data"].get("batches", {}), saved.get("progress", {}).get("sums", {})
    if not sums.get("images"):
        return
    for key, value in batches_of(options).items():
        if kept.get(key, value) != value:
            raise CaptionerError(
                f"resume: training.{key}={value} cannot end an epoch that began with {kept[key]}, of which "
                f"{sums['images']:,} images are done; resume without it, and change it after an epoch"
            )


def digest_of(*splits: Sequence[Record]) -> str:
    """One for all names, sizes and captions, where it need not be said what differs."""
    content = [[(name_of(r), r.captions, size_of(r)) for r in records] for records in splits]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def check_words(known: Vocabulary, present: Vocabulary) -> None:
    """Refuse other words than those of the model file, for a state that does not know its data.

    Raises:
        CaptionerError: names the first word that differs.
    """
    if (known.words, known.unit) != (present.words, present.unit):
        words = _changed_words(known.words, present.words)
        raise CaptionerError(f"resume: the vocabulary is not that of the run's model{words}; {WHAT_TO_DO}")


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What is not as it was, for after "the split"; empty if nothing is."""
    if SAMPLED in before or SAMPLED in now:
        return _difference_of_many(before, now)
    names, present = before["names"], now["names"]
    if names != present:
        had, has = set(names), set(present)
        missing = next((name for name in names if name not in has), None)
        new = next((name for name in present if name not in had), None)
        if missing is not None or new is not None:
            first = [f"the first that is missing is {missing!r}"] * (missing is not None)
            first += [f"the first new one is {new!r}"] * (new is not None)
            return f"has {len(present):,} images and had {len(names):,} ({', '.join(first)})"
        place = next(i for i, (old, name) in enumerate(zip(names, present)) if old != name)
        return (
            f"has its images in another order (number {place + 1:,} was {names[place]!r} "
            f"and is {present[place]!r})"
        )
    other = (before["captions"] != now["captions"]).nonzero()
    if len(other):
        return f"has other captions than before (the first are those of {present[int(other[0])]!r})"
    other = (before["bytes"] != now["bytes"]).nonzero()
    if len(other):
        return f"has another photo than before under the name {present[int(other[0])]!r}, of another size"
    if "content" in before and len(other := (before["content"] != now["content"]).nonzero()):
        return f"has another photo than before under the name {present[int(other[0])]!r}, of the same size"
    return ""


def _difference_of_many(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The same where one digest stands for all names and captions, and a sample says what differs."""
    counts = [one["count"] if SAMPLED in one else len(one["names"]) for one in (before, now)]
    if counts[0] != counts[1]:
        return f"has {counts[1]:,} images and had {counts[0]:,}"
    if SAMPLED not in before or SAMPLED not in now:  # one of them of a version that kept all
        return ""
    old, present = before[SAMPLED], now[SAMPLED]
    for had, has in zip(old["names"], present["names"]):
        if had != has:
            return f"has other images than before, or in another order ({has!r} stands where {had!r} did)"
    if found := _difference(old, present):
        return found
    return "" if before["digest"] == now["digest"] else "has other images or captions than before"


def _changed_words(known: Sequence[str], present: Sequence[str]) -> str:
    """The first word that has gone and the first that has come, for the end of a sentence."""
    had, has = set(known), set(present)
    gone = next((word for word in known if word not in has), None)
    come = next((word for word in present if word not in had), None)
    if gone is None and come is None:
        place = next((i for i, (old, word) in enumerate(zip(known, present)) if old != word), None)
        return (
            "" if place is None else f", where {known[place]!r} stood in the vocabulary is {present[place]!r}"
        )
    told = [f"{gone!r} is no longer in the vocabulary"] * (gone is not None)
    return f", {' and '.join([*told, *[f'{come!r} is new in it'] * (come is not None)])}"
