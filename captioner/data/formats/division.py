"""Splits of data that come without any: images drawn by a seed, each with all its captions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from captioner.data.records import Record
from captioner.errors import CaptionerError


def divided(
    records: Sequence[Record], seed: int, val_share: float, test_share: float
) -> dict[str, list[Record]]:
    """Train, val and test, each in the order of the records; only the images' ids and the seed decide.

    A share that is not 0 has at least one image, and training at least one.
    """

    def rank(record: Record) -> bytes:
        name = str(record.image_id)
        return hashlib.sha256((name if seed == 0 else f"{seed}:{name}").encode()).digest()

    left = max(0, len(records) - 1)
    split_of: dict[str | int, str] = {}
    order = iter(sorted(records, key=rank))
    for split, share in (("val", val_share), ("test", test_share)):
        count = min(max(1, round(share * len(records))), left) if share else 0
        left -= count
        split_of |= {next(order).image_id: split for _ in range(count)}
    splits: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in records:
        splits[split_of.get(record.image_id, "train")].append(record)
    return splits


def check_shares(val_share: float, test_share: float) -> None:
    """Refuse shares that leave nothing to train on.

    Raises:
        CaptionerError: names them.
    """
    if val_share + test_share >= 1:
        shares = f"{val_share:g} and data.test_share {test_share:g}"
        raise CaptionerError(f"data.val_share: {shares} leave nothing to train on")


def told(splits: dict[str, list[Record]], where: str, seed: int, val_share: float, test_share: float) -> str:
    """A line about how the images were divided."""
    counts = ", ".join(f"{len(of)} {split}" for split, of in splits.items() if of) or "nothing"
    shares = f"data.val_share={val_share:g}" + (f" data.test_share={test_share:g}" if test_share else "")
    return f"{where}: images divided by data.split_seed={seed} {shares} into {counts}"
