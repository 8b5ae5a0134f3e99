"""Valid files, mutated: whatever comes, only a CaptionerError may come out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features
from support.caption_files import ROWS, WRITERS, Writer

from captioner.data.load import load_split
from captioner.data.photos import image as reader
from captioner.data.photos.image import load_image
from captioner.data.photos.preprocess import Preprocess
from captioner.errors import CaptionerError
from captioner.vocabulary import tokenize

BOUNDED = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "png": [{}, {"optimize": True}],
    "jpeg": [{}, {"progressive": True}],
    "gif": [{}],
    "bmp": [{}],
    "tiff": [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}],
    "webp": [{}, {"lossless": True}],
    "ppm": [{}],
    "jpeg2000": [{}],
    "avif": [{}],
}


def valid_images() -> list[bytes]:
    """A small photo in every format and mode that can be written here."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 9, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for kind, all_options in OPTIONS.items():
        for mode in ("RGB", "RGBA", "P", "L", "I;16", "CMYK"):
            for options in all_options:
                stream = io.BytesIO()
                try:
                    Image.fromarray(noise).convert(mode).save(stream, kind, exif=exif, **options)
                except (OSError, ValueError, KeyError, TypeError):  # not a mode of this format
                    continue
                files.append(stream.getvalue())
    return files


@st.composite
def mutated(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of the files with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("bit", "bytes", "cut", "double", "put", "end")))
        if kind == "bit" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "bytes":
            data[at : at + 4] = draw(
                st.sampled_from((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x01"))
            )
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif kind == "put":
            data[at:at] = draw(st.binary(max_size=8))
        else:
            del data[at:]
    return bytes(data)


IMAGES = valid_images()


def test_there_are_images_of_every_format() -> None:
    kinds = {Image.open(io.BytesIO(data)).format for data in IMAGES}
    wanted = {"PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM"} | ({"WEBP"} if features.check("webp") else set())
    assert wanted <= kinds and len(IMAGES) > 25


@pytest.mark.filterwarnings("ignore")
@settings(BOUNDED, max_examples=300)
@given(data=mutated(IMAGES))
def test_image_is_read_or_refused(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_PIXELS", 10**6)  # or a size that is a bomb's might be allocated
    try:
        image = load_image(data, draft=8)
    except CaptionerError as error:
        assert str(error).startswith("image: ") and str(error).isprintable()
    else:
        assert image.mode == "RGB" and min(image.size) > 0
        assert Preprocess(8, "crop").frame(image).size == (8, 8)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated_json(draw: st.DrawFn, text: str) -> bytes:
    """The parsed content with one or two of its nodes replaced."""
    content = [json.loads(text)]
    for _ in range(draw(st.integers(1, 2))):
        node: Any = content
        while isinstance(node, (dict, list)) and node:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from(list(keys)))
            if not isinstance(node[key], (dict, list)) or draw(st.integers(0, 4)) == 0:
                node[key] = draw(JSON)
                break
            node = node[key]
    return json.dumps(content[0]).encode()


def outcome(read: Callable[[], object]) -> str | None:
    try:
        read()
    except CaptionerError as error:
        return str(error)
    return None


@pytest.mark.parametrize("writer", WRITERS)
@BOUNDED
@given(data=st.data())
def test_caption_file_is_read_or_refused(writer: Writer, data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for image in ("a.jpg", "b.jpg"):
            (folder / image).touch()
        config, path = writer(folder, ROWS)
        whole = path.read_bytes()
        strategies = [mutated([whole])]
        if path.suffix == ".json":
            strategies.append(mutated_json(whole.decode()))
        path.write_bytes(data.draw(st.one_of(strategies)))
        told = outcome(lambda: load_split(config, "train"))
        # what stops training is the first fault that the doctor notes
        faults: list[CaptionerError] = []
        raised = outcome(lambda: load_split(config, "train", faults))
        assert told == (str(faults[0]) if faults else raised)
        if told is not None:
            assert told.isprintable()
            return
        records = load_split(config, "train")
        assert len({record.image_id for record in records}) == len(records) > 0
        for record in records:
            assert isinstance(record.source, Path) and record.source.is_file()
            assert record.captions and all(tokenize(caption) for caption in record.captions)
            assert all(caption.encode() for caption in record.captions)
