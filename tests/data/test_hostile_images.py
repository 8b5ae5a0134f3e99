"""Images as the world makes them: one bad one never ends a run, hangs it or changes its neighbours."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest
from PIL import Image
from support import tiny
from support.memory import peak_growth

import captioner
from captioner.caption import Caption
from captioner.cli.main import main
from captioner.data.photos import image as reader
from captioner.data.photos import rgb
from captioner.data.photos.image import load_image
from captioner.data.photos.jpeg_scans import has_more_scans
from captioner.data.photos.rgb import as_rgb
from captioner.errors import CaptionerError
from captioner.predictor import Predictor

NOISE = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, mode: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


# --- single files ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}),
        ("jpeg", {}),
        ("jpeg", {"progressive": True}),
        ("gif", {}),
        ("bmp", {}),
        ("tiff", {}),
        ("tiff", {"compression": "tiff_lzw"}),
        ("webp", {}),
        ("webp", {"lossless": True}),
        ("ppm", {}),
    ],
)
def test_file_cut_at_any_length_is_refused_or_still_whole(kind: str, options: dict[str, Any]) -> None:
    data = encoded(Image.fromarray(NOISE), kind, **options)
    whole = np.asarray(load_image(data))
    refused = 0
    for length in range(len(data)):
        try:
            image = load_image(data[:length])
        except CaptionerError as error:
            assert str(error).isprintable()
            refused += 1
        else:  # what was cut off held no pixel
            assert np.array_equal(np.asarray(image), whole), f"{length} of {len(data)} bytes"
    assert refused > 0.9 * len(data)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.gif", "photo.txt", "photo"])
def test_extension_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(Image.fromarray(NOISE), "png"))
    assert np.array_equal(np.asarray(load_image(tmp_path / name)), NOISE)


def test_progressive_jpeg_is_the_same_picture_as_a_baseline_one() -> None:
    photo = Image.fromarray(NOISE)
    baseline, progressive = (load_image(encoded(photo, "jpeg", progressive=p)) for p in (False, True))
    assert np.array_equal(np.asarray(baseline), np.asarray(progressive))


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_first_frame_of_an_animation_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert load_image(data).getpixel((3, 3)) == (255, 0, 0)


def test_palette_with_transparency_lies_on_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    half = encoded(image, "png", transparency=b"\xff\x80")
    red, green, blue = load_image(half).getpixel((0, 0))  # type: ignore[misc]
    assert red == 255 and green == blue == pytest.approx(127, abs=1)


@pytest.mark.parametrize("size", [(1, 1), (30_000, 1), (1, 30_000)])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_images_of_extreme_shapes_are_read(size: tuple[int, int], kind: str) -> None:
    image = load_image(encoded(Image.new("RGB", size, "red"), kind), draft=224)
    assert image.size == size or kind == "jpeg"


@pytest.mark.parametrize(
    "data",
    [
        png(100, 100, chunk(b"IDAT", zlib.compress(bytes(10**7)))),  # more pixels than it says
        png(100, 100, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))), chunk(b"IDAT", b"")),
        png(100, 100, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8))), chunk(b"IDAT", b"")),
        png(100, 100, chunk(b"IDAT", b"")),
        png(100, 100),
        png(0, 100, chunk(b"IDAT", b"")),
        png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", b"")),
        b"P6 99999999 99999999 255\n",
        b"P6 -1 5 255\n" + bytes(15),
        b"BM" + struct.pack("<IIIIiiHHI", 0, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0) + bytes(40),
        b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\x01\0\0;",
    ],
    ids=["deep", "text", "profile", "empty", "none", "flat", "huge", "ppm", "negative", "bmp", "gif"],
)
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_bomb_is_read_or_refused_within_little_memory(data: bytes) -> None:
    def load() -> None:
        try:
            assert load_image(data).size == (100, 100)
        except CaptionerError as error:
            assert str(error).isprintable()

    assert peak_growth(load) < 40 * 2**20


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_memory_is_measured() -> None:
    large = encoded(Image.new("RGB", (5000, 5000)), "png")
    assert peak_growth(lambda: load_image(large)) > 70 * 2**20
    with pytest.raises(RuntimeError, match="is a folder"):
        peak_growth(lambda: load_image(Path("/")))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")
def test_file_that_may_not_be_read_is_refused() -> None:
    folder = Path(tempfile.mkdtemp())
    path = folder / "secret.png"
    path.write_bytes(encoded(Image.fromarray(NOISE), "png"))
    path.chmod(0)
    folder.chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(CaptionerError, match="Permission denied"):
            load_image(path)
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


def test_error_that_is_kept_keeps_no_pixels() -> None:
    with pytest.raises(CaptionerError) as caught:
        load_image(encoded(Image.fromarray(NOISE), "png")[:-40])
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    held = [value for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert [value for value in held if isinstance(value, Image.Image)] == []


def scanned(times: int) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    data = encoded(Image.new("RGB", (80, 60), "teal"), "jpeg", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + times * last + data[-2:]


def test_jpeg_of_very_many_scans_is_refused_and_one_of_many_is_read() -> None:
    """Refining a picture of one colour changes nothing but the time that it takes."""
    assert np.array_equal(np.asarray(load_image(scanned(80))), np.asarray(load_image(scanned(0))))
    with pytest.raises(CaptionerError, match="more than 100 scans"):
        load_image(scanned(10_000))


def test_only_scans_of_the_picture_are_counted() -> None:
    photo, many = Image.fromarray(NOISE), 500 * b"\xff\xda\0\x08"
    for progressive in (False, True):
        data = encoded(photo, "jpeg", progressive=progressive, comment=many)
        assert data.count(b"\xff\xda") > 500
        assert load_image(data + many).size == photo.size  # cameras append a film


@pytest.mark.parametrize("length", [0, 1, 2, 8])
def test_scan_of_one_colour_after_another_is_counted_whatever_its_length_says(length: int) -> None:
    frame = b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10\x03" + 9 * b"\x11"
    scan = b"\xff\xda" + length.to_bytes(2, "big") + b"\x01\x01\0\0\x3f\0" + b"data\xff\0\xff\xd3more"
    assert has_more_scans(io.BytesIO(frame + 5 * scan + b"\xff\xd9" + scan), 4)
    assert not has_more_scans(io.BytesIO(frame + 5 * scan + b"\xff\xd9" + scan), 5)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "I", "F"])
def test_image_in_strips_is_what_it_is_as_a_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mode in ("RGBA", "LA", "P"):
        image = Image.fromarray(np.dstack([NOISE, NOISE[..., 0]])).convert(mode)
        image.info = {"transparency": 7} if mode == "P" else {}
    else:
        kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        image = Image.fromarray((NOISE[..., 0].astype(np.int64) * 200).astype(kinds[mode]))
    assert image.mode == mode
    whole = np.asarray(as_rgb(image))
    monkeypatch.setattr(rgb, "STRIP", 20)  # two rows of nine
    assert np.array_equal(np.asarray(as_rgb(image)), whole)


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_large_image_is_held_twice_at_the_most(mode: str) -> None:
    data = encoded(Image.new(mode, (5000, 5000)), "png", compress_level=1)
    twice = 2 * 4 * 5000 * 5000  # Pillow takes four bytes a pixel
    assert peak_growth(lambda: load_image(data)) < twice + 40 * 2**20


# --- many files, some of them bad -----------------------------------------------------------------


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return captioner.load(tiny.model_file(), "cpu")


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A folder of sound scenes, with every kind of bad neighbour between them."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    scene = encoded(tiny.records()[0].source(), "png")  # type: ignore[operator]
    bad: list[tuple[str, Any]] = [
        ("truncated.png", scene[: len(scene) // 2]),
        ("noise.jpg", np.random.default_rng(0).bytes(5000)),
        ("zero.jpg", b""),
        ("text.gif", b"not an image\n" * 100),
        ("bomb.png", png(60_000, 60_000, chunk(b"IDAT", b""))),
        ("pipe.jpg", os.mkfifo),
        ("dangling.jpg", lambda path: path.symlink_to("nowhere")),
        ("loop.jpg", lambda path: path.symlink_to(path)),
        ("two\nlines.png", scene[:-40]),
        (os.fsdecode(b"no\xfftext.jpg"), b"broken"),
    ]
    for i, record in enumerate(tiny.records()):
        name = ["{}.png", "{} with space.png", "{}\nline.png", "{}ü.png", os.fsdecode(b"{}\xff.png")][i % 5]
        record.source().save(folder / name.format(f"{i:02d}5"))  # type: ignore[operator]
    for i, (name, content) in enumerate(bad):
        path = folder / f"{i:02d}1 bad {name}"
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
    (folder / "999.png").mkdir()
    return folder


@pytest.fixture
def paths(zoo: Path) -> list[Path]:
    return sorted(path for path in zoo.iterdir() if not path.is_dir())


def is_bad(path: Path) -> bool:
    return " bad " in path.name


def test_neighbours_captions_are_unchanged_to_the_bit(predictor: Predictor, paths: list[Path]) -> None:
    good = [path for path in paths if not is_bad(path)]
    alone = list(predictor.caption_many(good, batch_size=len(paths)))
    among = list(predictor.caption_many(paths, batch_size=len(paths)))
    assert [isinstance(result, CaptionerError) for result in among] == [is_bad(path) for path in paths]
    assert [result for result in among if isinstance(result, Caption)] == alone  # log_probs too
    assert len({str(caption) for caption in alone}) > 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_neighbours_words_are_unchanged_in_batches_of_every_size(
    predictor: Predictor, paths: list[Path], size: int
) -> None:
    good = [path for path in paths if not is_bad(path)]
    alone = [str(caption) for caption in predictor.caption_many(good)]
    among = list(predictor.caption_many(paths, batch_size=size))
    assert [str(result) for result in among if isinstance(result, Caption)] == alone
    errors = [result for result in among if isinstance(result, CaptionerError)]
    assert len(errors) == sum(map(is_bad, paths)) and all(str(error).isprintable() for error in errors)


def test_folder_named_like_an_image_is_an_error_of_its_own(predictor: Predictor, zoo: Path) -> None:
    folder, sound = predictor.caption_many([zoo / "999.png", zoo / "005.png"])
    assert isinstance(folder, CaptionerError) and "is a folder" in str(folder)
    assert isinstance(sound, Caption)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments), "--checkpoint", str(tiny.model_file()), "--device", "cpu"])
    return int(caught.value.code or 0), *capsys.readouterr()


def test_jsonl_has_one_record_a_file_with_its_name_to_the_byte(
    zoo: Path, paths: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.jsonl"
    status, _, _ = run(capsys, "caption", zoo, "--format", "jsonl", "--output", file, "--batch-size", 4)
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert status == 1
    assert [os.fsencode(record["path"]) for record in records] == [os.fsencode(path) for path in paths]
    assert ["error" in record for record in records] == [is_bad(path) for path in paths]


def test_text_has_one_line_a_sound_file_and_one_complaint_a_bad_one(
    zoo: Path, paths: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.txt"
    status, _, err = run(capsys, "caption", zoo, "--output", file)
    assert status == 1
    assert len(file.read_text(encoding="utf-8").splitlines()) == sum(not is_bad(path) for path in paths)
    assert err.count("\n") == sum(map(is_bad, paths)) + 1  # and one line of how many there are


def test_no_more_images_are_held_than_two_batches(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ref[Image.Image]] = []
    most = 0
    real = reader._upright_rgb

    def counted(*given: Any) -> tuple[Image.Image, Image.Image]:
        nonlocal most
        upright = real(*given)
        made.extend(ref(one) for one in {id(one): one for one in upright}.values())
        most = max(most, sum(image() is not None for image in made))
        return upright

    monkeypatch.setattr(reader, "_upright_rgb", counted)
    data = encoded(tiny.records()[0].source(), "png")  # type: ignore[operator]

    def many() -> Iterator[bytes]:
        for i in range(200):
            yield data[:-50] if i % 5 == 4 else data

    results = list(predictor.caption_many(many(), batch_size=4))
    assert [isinstance(result, CaptionerError) for result in results] == [i % 5 == 4 for i in range(200)]
    assert 0 < most <= 2 * 4 + 2  # the full images of two workers beside the two batches
