"""The process that captions shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from captioner.bulk.caption import Predicts, Record, Settings, caption_shard, images
from captioner.bulk.process import answer
from captioner.bulk.shards import Reads, Shard
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError


def load(settings: Settings) -> Predicts:
    """The predictor of the settings.

    Raises:
        CaptionerError: the model cannot be loaded, or is not the one of the manifest.
    """
    from captioner.bulk.manifest import digests
    from captioner.predictor import load
    from captioner.system.device import keep_memory

    if digests(settings.checkpoint) != list(settings.model):
        raise CaptionerError("--checkpoint: this machine has another model under that name")
    keep_memory()
    if settings.accept_truncated:
        from PIL import ImageFile

        ImageFile.LOAD_TRUNCATED_IMAGES = True
    return load(settings.checkpoint, settings.device, settings.precision)


def serve(load: Callable[[Settings], Predicts] = load) -> None:
    """Answer until standard input ends."""
    answer(lambda given: CaptionWorker(given, load))


class CaptionWorker:
    """Captions shards, with the settings as plain values."""

    def __init__(self, given: dict[str, Any], load: Callable[[Settings], Predicts]) -> None:
        self.settings = replace(Settings(**given), search=SearchConfig(**given["search"]))
        self.predictor = load(self.settings)

    def names(self, shard: dict[str, Any]) -> list[list[str]]:
        return [[image.key, image.place] for image in images(Shard(**shard), self.settings.column)]

    def records(
        self, shard: dict[str, Any], positions: Sequence[int] | None, reads: Reads
    ) -> Iterator[Record]:
        return caption_shard(Shard(**shard), self.predictor, self.settings, positions, reads)


if __name__ == "__main__":
    serve()
