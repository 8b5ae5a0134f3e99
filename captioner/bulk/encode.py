"""A pure function from the number of a shard to its annotations: the caches of a training run, filled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from captioner.bulk.shards import Reads
from captioner.checkpoint.file import load_checkpoint
from captioner.config.data import DataConfig
from captioner.config.model import EncoderConfig
from captioner.config.schema import SCHEMAS
from captioner.config.training import TrainingConfig
from captioner.data.index.open import open_split
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.features.build import Build
from captioner.features.cache import tell_waiting
from captioner.features.encode import encode
from captioner.features.parts import parts_of
from captioner.model.encoder import Encoder, build_encoder
from captioner.system.atomic_files import make_folder
from captioner.system.device import choose_device, keep_memory
from captioner.system.locks import owned


@dataclass(frozen=True)
class Settings:
    """What is encoded, and with what.

    Attributes:
        training: of it ``flip``, ``mosaics`` and ``seed`` matter.
        checkpoint: the model file whose encoder's weights are taken; None: those that training starts with.
        folder: of the caches, absolute.
        keys: of the caches, as they are on the machine that schedules.
        index: ``run.index``.
    """

    encoder: EncoderConfig
    data: DataConfig
    training: TrainingConfig
    splits: Sequence[str]
    checkpoint: str | None
    folder: str
    device: str = "auto"
    workers: int = 2
    keys: Sequence[str] = field(default_factory=list)
    index: str = "auto"

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Settings:
        """The settings of their plain values."""
        typed = {
            "encoder": EncoderConfig(**plain["encoder"]),
            "data": SCHEMAS["data"][plain["data"]["name"]](**plain["data"]),
            "training": TrainingConfig(**plain["training"]),
        }
        return cls(**plain | typed)


@dataclass(frozen=True)
class Shard:
    """A shard of a cache.

    Attributes:
        place: of its file.
        part: which of the caches of the settings.
        number: of the shard in its cache.
    """

    place: str
    part: int
    number: int


def builds_of(settings: Settings, notes: list[str] | None = None) -> list[Build]:
    """The caches of the settings, as far as they are there.

    Args:
        notes: where to tell what was left out of the data.

    Raises:
        CaptionerError: the data or the model cannot be read.
    """
    device = choose_device(settings.device)
    encoder, preprocess = _encoder(settings).to(device), Preprocess.of(settings.encoder)
    folder = Path(settings.folder)
    records = {s: open_split(settings.data, s, settings.index, folder, notes) for s in settings.splits}
    parts = parts_of(records, settings.training, encoder, preprocess)
    return [
        Build.of(encoder, preprocess, images, folder, device, settings.workers) for images in parts.values()
    ]


def shards_of(builds: Sequence[Build]) -> list[Shard]:
    """The shards of the caches, in an order that does not depend on what is there."""
    return [
        Shard(str(build.path(number)), part, number)
        for part, build in enumerate(builds)
        for number in range(build.shards)
    ]


class EncodeWorker:
    """Encodes shards, with the settings as plain values.

    Raises:
        CaptionerError: the data or the model cannot be read, or is not that of the machine that schedules.
    """

    def __init__(self, plain: dict[str, Any]) -> None:
        settings = Settings.of(plain)
        keep_memory()
        self.builds = builds_of(settings)
        if [build.key for build in self.builds] != list(settings.keys):
            raise CaptionerError(
                "encode: this machine has another model, other data, or photos of other sizes or times; all "
                "need the same files under the same paths"
            )

    def names(self, plain: dict[str, Any]) -> list[list[str]]:
        shard = Shard(**plain)
        return [[str(r.image_id), _place(r)] for r in self.builds[shard.part].images(shard.number)]

    def records(
        self, plain: dict[str, Any], positions: Sequence[int] | None, reads: Reads
    ) -> Iterator[dict[str, Any]]:
        """A record per image, once it is encoded, and the file at the end; of some positions no file.

        An image that cannot be read, or a file that cannot be written, is an error, which is the last record.
        """
        shard = Shard(**plain)
        build = self.builds[shard.part]
        try:
            if positions is None:
                counts = _written(build, shard, reads)
            else:
                counts = _tried(build, shard, positions, lambda n: reads(positions[n]))
            for count in counts:
                yield from ({} for _ in range(count))
        except CaptionerError as error:
            yield {"error": str(error)}


def _written(build: Build, shard: Shard, reads: Reads) -> Iterator[int]:
    """Encode and write a shard, side by side with others, but not with who builds all of the cache."""
    make_folder(build.place, "run.cache")
    with owned(build.place, wait=tell_waiting, shared=True):
        if Path(shard.place).exists():  # by now
            yield build.size(shard.number)
        else:
            yield from build.encode(shard.number, reads)


def _tried(build: Build, shard: Shard, positions: Sequence[int], reads: Reads) -> Iterator[int]:
    """Encode some images of a shard, to see which of them cannot be."""
    images = build.images(shard.number)
    images = [images[position] for position in positions]
    for batch in encode(build.encoder, build.preprocess, images, build.device, build.workers, reads):
        yield len(batch)


def _encoder(settings: Settings) -> Encoder:
    torch.manual_seed(settings.training.seed)  # as training does, where frozen weights are drawn
    if settings.checkpoint is None:
        return build_encoder(settings.encoder)
    encoder = build_encoder(settings.encoder, load_weights=False)
    try:
        encoder.load_state_dict(load_checkpoint(settings.checkpoint).model.encoder.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CaptionerError(
            f"encoder: the model of {settings.checkpoint} has another encoder ({reason})"
        ) from error
    return encoder


def _place(record: Record) -> str:
    return str(record.source) if isinstance(record.source, Path) else str(record.image_id)
