"""What the encoder's frozen part makes of every image, computed once and kept on disk.

A cache is a folder named by a hash of everything that decides its content: the frozen weights, the
preprocessing, and the images. It holds shards, files of some thousand rows with a row per image, and a
manifest, written when the last shard is there. One process builds it; others that need the same one wait for
it. A build that was stopped or killed is continued from its complete shards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import torch
from tqdm import tqdm

from captioner.config.schema import RunConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.features.build import WHOLE, Build
from captioner.features.manifest import MANIFEST
from captioner.features.sharded import Features
from captioner.model.encoder import Encoder
from captioner.system.atomic_files import UNFINISHED, make_folder
from captioner.system.locks import owned
from captioner.system.terminal import no_bar


def cached_features(
    encoder: Encoder,
    preprocess: Preprocess,
    records: Sequence[Record],
    folder: Path,
    device: torch.device,
    workers: int = 0,
    title: str = "encoding",
    progress: bool = True,
) -> Features:
    """The trunk's output for every record, in their order, memory-mapped read-only.

    Args:
        encoder: its ``trunk`` is run; with no stage frozen the cache holds the uint8 pixels, otherwise
            float16 feature maps.
        folder: where all caches live.
        workers: as of :func:`captioner.features.encode.encode`.
        title: what the progress bar says.

    Raises:
        CaptionerError: an image cannot be read, or the folder cannot be written.
    """
    return completed(Build.of(encoder, preprocess, records, folder, device, workers), title, progress)


def completed(build: Build, title: str = "encoding", progress: bool = True) -> Features:
    """The features of a build, of which this process encodes what is missing.

    Raises:
        CaptionerError: as :func:`cached_features`.
    """
    while (features := build.opened()) is None:
        remove_abandoned(build.place.parent)
        make_folder(build.place, "run.cache")
        # another process, having failed to build it, may just have removed it
        with suppress(FileNotFoundError), owned(build.place, wait=tell_waiting):
            if (features := build.opened()) is not None:  # by now
                break
            try:
                _complete(build, title, progress)
            except BaseException:
                remove_empty(build.place)
                raise
    return features


def cache_folder(run: RunConfig) -> Path:
    """Where annotations are cached: ``run.cache``, else $CAPTIONER_CACHE, else ~/.cache/captioner."""
    place = run.cache or os.environ.get("CAPTIONER_CACHE") or "~/.cache/captioner"
    return Path(os.path.expanduser(place))


def _complete(build: Build, title: str, progress: bool) -> None:
    missing = sum(map(build.size, build.remaining()))
    done, total = len(build.records) - missing, len(build.records)
    with tqdm(
        desc=title, total=total, initial=done, unit="photo", leave=False, disable=no_bar(progress)
    ) as bar:
        build.complete(bar.update)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed builders left unfinished; what a living one builds is its own."""
    names = ("*-of-*.npy", MANIFEST, WHOLE)
    for unfinished in chain.from_iterable(folder.glob(f"*/.{name}.*{UNFINISHED}") for name in names):
        with suppress(OSError), owned(unfinished.parent) as mine:
            if mine:
                unfinished.unlink(missing_ok=True)
                remove_empty(unfinished.parent)


def remove_empty(place: Path) -> None:
    """Remove the folder of a cache of which nothing is there."""
    with suppress(OSError):
        place.rmdir()


def tell_waiting() -> None:
    """Say why nothing happens."""
    print("waiting for another process that encodes the same images", file=sys.stderr)
