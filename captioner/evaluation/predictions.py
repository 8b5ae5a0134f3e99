"""Captions of a file, each beside the record of its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.data.formats.predictions import Prediction, load_predictions
from captioner.data.records import Record
from captioner.errors import CaptionerError


def captions_by_record(
    records: Sequence[Record], path: Path, key: str, skip_unknown: bool = False
) -> list[str | None]:
    """The caption of every record; None where the file has none.

    An entry's image is a record's id, or its file: by the whole path, by its name, or by the name without its
    ending, the latter two if no other record's file is called so.

    Args:
        key: of the configuration, which errors name.
        skip_unknown: pass over captions of images that are not among the records.

    Raises:
        CaptionerError: an image has two captions, or is unknown; or the file is wrong.
    """
    index = _index(records)
    found: list[Prediction | None] = [None] * len(records)
    unknown: list[Prediction] = []
    for prediction in load_predictions(path, key):
        number = _number(index, prediction.image)
        if number is None:
            unknown.append(prediction)
        elif (first := found[number]) is not None:
            raise CaptionerError(
                f"{prediction.place}: image {prediction.image!r} has a second caption "
                f"(the first: {first.place})"
            )
        else:
            found[number] = prediction
    if unknown and not skip_unknown:
        first = unknown[0]
        raise CaptionerError(
            f"{first.place}: image {first.image!r} is not in this split; "
            f"unknown=skip passes over such captions ({len(unknown):,} of {key})"
        )
    return [None if prediction is None else prediction.caption for prediction in found]


def _index(records: Sequence[Record]) -> list[dict[str, int | None]]:
    """Ways to name a record, the surest first; None for a name that several have."""
    ways: list[dict[str, int | None]] = [{}, {}, {}, {}]
    for number, record in enumerate(records):
        names = [str(record.image_id)]
        if isinstance(record.source, Path):
            names += [str(record.source.absolute()), record.source.name, record.source.stem]
        for way, name in zip(ways, names):
            way[name] = None if name in way else number
    return ways


def _number(index: Sequence[dict[str, int | None]], image: str) -> int | None:
    path = Path(image)
    for way, name in zip(index, (image, str(path.absolute()), path.name, path.stem)):
        if (number := way.get(name)) is not None:
            return number
    return None
