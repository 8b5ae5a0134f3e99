"""Small shards, and a predictor that needs no model: its caption is what it was given to see."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

from captioner.bulk.caption import Settings
from captioner.bulk.worker import serve
from captioner.config.search import SearchConfig
from captioner.data.photos.image import load_image
from captioner.errors import CaptionerError

STUB = (sys.executable, __file__)  # a worker with the stub, for captioner.bulk.isolation.Isolated
KILLS, HANGS = b"kills its process", b"hangs its process"  # comments of JPEGs
KILLS_LATER = b"kills its process when its batch was read"
SETTINGS = Settings(batch_size=2, workers=0)


def jpeg(number: int, comment: bytes = b"") -> bytes:
    """A small JPEG, another one for each number."""
    stream = io.BytesIO()
    colour = (number * 53 % 256, number * 101 % 256, number * 7 % 256)
    Image.new("RGB", (12, 10), colour).save(stream, "JPEG", comment=comment)
    return stream.getvalue()


def make_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """A tar of some files, in order."""
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def make_tars(folder: Path, tars: int = 3, images: int = 4, **special: bytes) -> dict[str, bytes]:
    """``00000.tar`` and so on, each image with a text beside it; the bytes of each image by its key.

    Args:
        special: the bytes of image ``n000005``, and so on.
    """
    found: dict[str, bytes] = {}
    for tar in range(tars):
        files = []
        for number in range(tar * images, (tar + 1) * images):
            key = f"n{number:06d}"
            found[key] = special.get(key, jpeg(number))
            files += [(f"{key}.jpg", found[key]), (f"{key}.txt", b"a caption")]
        make_tar(folder / f"{tar:05d}.tar", files)
    return found


def seen(source: bytes | Path | io.BytesIO) -> str:
    """The stub's caption of an image."""
    return hashlib.sha256(load_image(source).tobytes()).hexdigest()[:12]


class StubPredictor:
    """Says what it sees, and dies or hangs of some images."""

    def caption_many(
        self, images: Iterable, options: SearchConfig, attention: bool, batch_size: int, workers: int
    ) -> Iterator[SimpleNamespace | CaptionerError]:
        remaining = iter(images)
        while batch := list(islice(remaining, batch_size)):
            captions = [self._caption(load) for load in batch]
            if any(getattr(caption, "kills", False) for caption in captions):
                os._exit(9)
            yield from captions

    def _caption(self, load: Callable[[], Path | io.BytesIO]) -> SimpleNamespace | CaptionerError:
        try:
            source = load()
            data = b"" if isinstance(source, Path) else source.getvalue()
            if KILLS in data:
                os._exit(9)
            if HANGS in data:
                time.sleep(60)
            text = seen(source)
        except CaptionerError as error:
            return error
        return SimpleNamespace(text=text, words=(text,), log_prob=-1.0, kills=KILLS_LATER in data)


if __name__ == "__main__":
    serve(lambda settings: StubPredictor())
