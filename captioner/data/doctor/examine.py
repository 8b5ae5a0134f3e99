"""A whole dataset examined before it is trained on: what it holds, and what is wrong with it.

Reading is the same as training's, with the faults noted instead of raised, so the dataset is fit to train
on exactly if no fault was noted in the splits that training reads.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from captioner.config.data import DataConfig, VocabularyConfig
from captioner.config.declare import check
from captioner.data.doctor.inspection import Reading, read_images
from captioner.data.doctor.summary import SplitSummary, summary
from captioner.data.doctor.usefulness import (
    foreign_words,
    mended_vocabulary,
    useless_captions,
    useless_images,
    useless_words,
)
from captioner.data.formats.files import MALFORMED, SPLIT, UNREADABLE, Fault
from captioner.data.load import is_incomplete, load_split, skips_incomplete
from captioner.data.records import Record
from captioner.data.words import count_vocabulary
from captioner.errors import CaptionerError
from captioner.vocabulary import SPECIALS

SPLITS = ("train", "val", "test")
TRAINING = ("train", "val")  # what training reads
NO_WORDS = "vocabularies without a word"
LEAK, DOUBLE, REPEATED = "images in two splits", "images twice in a split", "captions twice at an image"


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        fatal: training would stop at it.
        useless: training would not, but what it makes would be of no use.
    """

    kind: str
    split: str
    line: str
    fatal: bool
    useless: bool = False


@dataclass
class Diagnosis:
    """What :func:`examine` found.

    Attributes:
        splits: those that could be read.
        absent: splits that training can do without, with the reason why they are not there.
        vocabulary: how many words training would know, the special ones aside.
        findings: what is wrong, the worst first.
        notes: what reading decided by itself, such as which images validate.
    """

    splits: dict[str, SplitSummary] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    vocabulary: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def trainable(self) -> bool:
        """Whether training on this data would go through."""
        return not any(finding.fatal for finding in self.findings)

    @property
    def useless(self) -> bool:
        """Whether what training makes of this data would be of no use."""
        return any(finding.useless for finding in self.findings)


def examine(
    data: DataConfig,
    vocabulary: VocabularyConfig,
    max_caption_length: int,
    workers: int = 0,
    progress: bool = False,
) -> Diagnosis:
    """Read every caption and every image of all splits.

    Args:
        workers: threads that decode images.

    Raises:
        CaptionerError: an option is out of range; problems of the data are reported in the diagnosis.
    """
    check(data, "data")
    check(vocabulary, "vocabulary")
    diagnosis = Diagnosis()
    records = {split: _read(data, split, diagnosis) for split in SPLITS}
    known = _vocabulary(records["train"], vocabulary, diagnosis)
    readings: dict[str, list[Reading]] = {}
    for split, of_split in records.items():
        if of_split:
            diagnosis.splits[split] = summary(of_split, known, vocabulary.unit, max_caption_length)
            readings[split] = read_images(of_split, workers, f"reading {split}", progress)
            fatal = split in TRAINING and not skips_incomplete(data)
            diagnosis.findings += _in_split(split, of_split, readings[split], fatal)
    diagnosis.findings += _same_images(records, readings)
    diagnosis.findings += _useless(data, vocabulary, max_caption_length, records, readings, diagnosis)
    diagnosis.findings.sort(key=lambda found: (not found.fatal, not found.useless, found.kind != LEAK))
    return diagnosis


def _read(data: DataConfig, split: str, diagnosis: Diagnosis) -> list[Record]:
    faults: list[CaptionerError] = []
    records: list[Record] = []
    try:
        records = load_split(data, split, faults, diagnosis.notes)
        if not records and faults and skips_incomplete(data):
            load_split(data, split)  # says that nothing is left
    except CaptionerError as error:
        if split not in TRAINING and not faults:
            diagnosis.absent[split] = str(error)
        else:
            faults.append(Fault(SPLIT, str(error)))
    told = {finding.line for finding in diagnosis.findings}  # one caption file may serve all splits
    for fault in faults:
        kind = fault.kind if isinstance(fault, Fault) else MALFORMED
        if str(fault) not in told:
            fatal = split in TRAINING and not (skips_incomplete(data) and is_incomplete(fault))
            diagnosis.findings.append(Finding(kind, split, str(fault), fatal))
    return records


def _vocabulary(train: Sequence[Record], config: VocabularyConfig, diagnosis: Diagnosis) -> set[str]:
    try:
        built = count_vocabulary(train, config)
    except CaptionerError as error:
        if train:
            diagnosis.findings.append(
                Finding(NO_WORDS, "train", f"{error}; {mended_vocabulary(train, config)}", True)
            )
        return set()
    known = set(built.words[len(SPECIALS) :])
    diagnosis.vocabulary = len(known)
    return known


def _useless(
    data: DataConfig,
    vocabulary: VocabularyConfig,
    longest: int,
    records: dict[str, list[Record]],
    readings: dict[str, list[Reading]],
    diagnosis: Diagnosis,
) -> Iterator[Finding]:
    """What would make a model useless, where there is something to train on."""
    train, counted = records["train"], diagnosis.splits
    if not train or not diagnosis.vocabulary:
        return
    found = [("train", *told) for told in useless_words(train, counted["train"], vocabulary)]
    if not found and "val" in counted and diagnosis.trainable:
        found += [("val", *told) for told in foreign_words(counted["val"], "val")]
    about = useless_captions(train, counted["train"], data, vocabulary.unit, longest)
    found += [("train", *told) for told in about]
    digests = [reading.digest for reading in readings["train"]]
    found += [("train", *told) for told in useless_images(train, digests)]
    yield from (Finding(kind, split, line, fatal=False, useless=True) for split, kind, line in found)


def _in_split(
    split: str, records: Sequence[Record], readings: Sequence[Reading], fatal: bool
) -> Iterator[Finding]:
    for record, reading in zip(records, readings):
        if reading.error:
            yield Finding(UNREADABLE, split, reading.error, fatal)
        for caption, times in Counter(record.captions).items():
            if times > 1:
                yield Finding(REPEATED, split, f"{_name(record)}: {times} times {caption[:60]!r}", False)


def _same_images(records: dict[str, list[Record]], readings: dict[str, list[Reading]]) -> Iterator[Finding]:
    """Files with the same bytes, under whatever name."""
    same: dict[str, list[tuple[str, Record]]] = defaultdict(list)
    for split, of_split in readings.items():
        for record, reading in zip(records[split], of_split):
            if reading.digest:
                same[reading.digest].append((split, record))
    for copies in same.values():
        if len(copies) > 1:
            leak = len({split for split, _ in copies}) > 1
            names = ", ".join(f"{split} {_name(record)}" for split, record in copies[:4])
            more = f" and {len(copies) - 4} more" if len(copies) > 4 else ""
            yield Finding(LEAK if leak else DOUBLE, copies[-1][0], f"{names}{more}", False)


def _name(record: Record) -> str:
    return str(record.image_id) if isinstance(record.image_id, str) else f"image {record.image_id}"
