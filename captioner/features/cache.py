"""What the encoder's frozen part makes of every image, computed once and kept on disk.

A cache is a folder named by a hash of everything that decides its content: the frozen weights, the
preprocessing, and each image's path, size and times of change. It holds one memory-mapped array, a row per
image, which is complete or absent. One process builds it; others that need the same one wait for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from captioner.config.schema import RunConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.features.encode import encode
from captioner.model.encoder import Encoder
from captioner.system.atomic_files import UNFINISHED, make_folder, remove_unfinished, whole_file
from captioner.system.locks import owned
from captioner.system.terminal import no_bar

ARRAY = "features.npy"


def cached_features(
    encoder: Encoder,
    preprocess: Preprocess,
    records: Sequence[Record],
    folder: Path,
    device: torch.device,
    workers: int = 0,
    title: str = "encoding",
    progress: bool = True,
) -> np.ndarray:
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
    place = folder / _key(encoder, preprocess, records)
    while not (place / ARRAY).is_file():
        _remove_abandoned(folder)
        make_folder(place, "run.cache")
        # another process, having failed to build it, may just have removed it
        with suppress(FileNotFoundError), owned(place, wait=_tell_waiting):
            if (place / ARRAY).is_file():  # by now
                break
            batches = encode(encoder, preprocess, records, device, workers)
            bar = tqdm(desc=title, total=len(records), unit="photo", leave=False, disable=no_bar(progress))
            try:
                with bar, closing(batches):
                    _write(place / ARRAY, len(records), batches, bar.update)
            except BaseException:
                _remove_empty(place)
                raise
    try:
        return np.load(place / ARRAY, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CaptionerError(f"run.cache: {place} is damaged ({error}); delete it") from error


def cache_folder(run: RunConfig) -> Path:
    """Where annotations are cached: ``run.cache``, else $CAPTIONER_CACHE, else ~/.cache/captioner."""
    place = run.cache or os.environ.get("CAPTIONER_CACHE") or "~/.cache/captioner"
    return Path(os.path.expanduser(place))


def _write(path: Path, count: int, batches: Iterator[np.ndarray], written: Callable[[int], object]) -> None:
    """All batches as one array in numpy's format. (On a full disk a memory map would end the process.)"""
    with whole_file(path, "run.cache") as file:
        for i, batch in enumerate(batches):
            if i == 0:
                shape = (count, *batch.shape[1:])
                header = {"descr": np.lib.format.dtype_to_descr(batch.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
            file.write(np.ascontiguousarray(batch).data)
            written(len(batch))


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed builders left; what a living one builds is its own."""
    for unfinished in folder.glob(f"*/.{ARRAY}.*{UNFINISHED}"):
        with suppress(OSError), owned(unfinished.parent) as mine:
            if mine:
                remove_unfinished(unfinished.parent, [ARRAY])
                _remove_empty(unfinished.parent)


def _remove_empty(place: Path) -> None:
    with suppress(OSError):
        place.rmdir()


def _tell_waiting() -> None:
    print("waiting for another process that encodes the same images", file=sys.stderr)


def _key(encoder: Encoder, preprocess: Preprocess, records: Sequence[Record]) -> str:
    sources: list[object] = []
    for record in records:
        if isinstance(record.source, Path):
            try:
                stat = record.source.stat()
            except OSError as error:
                raise CaptionerError(f"{record.source}: {error.strerror}") from error
            sources.append([str(record.source.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns])
        else:
            sources.append(repr(getattr(record.source, "args", record.source)))
    if records and not isinstance(records[0].source, Path):  # drawn images change with the code
        sources.append(hashlib.sha256(records[0].source().tobytes()).hexdigest())
    mirrored: object = any(record.mirrored for record in records)
    if mirrored and not all(record.mirrored for record in records):
        mirrored = [record.mirrored for record in records]
    content = [2, encoder.fingerprint(), preprocess.image_size, preprocess.resize, mirrored, sources]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
