"""Images: every kind of file is read as it looks, or refused with one line that names it."""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from captioner.config.model import EncoderConfig
from captioner.data.photos.find import LONGEST_PATH, find_images
from captioner.data.photos.image import TooManyPixels, UnknownFormat, check_pixels, load_image
from captioner.data.photos.preprocess import Preprocess
from captioner.errors import CaptionerError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def corner(image: Image.Image) -> tuple[int, ...]:
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def refusal(source: object) -> str:
    """The line that refuses ``source``."""
    with pytest.raises(CaptionerError) as caught:
        load_image(source)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what images look like ------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = np.full((16, 32, 3), 255, np.uint8)
    upright[:8, :8] = RED  # the marker, at the upper left
    rows_and_columns = {  # as a camera held that way stores it
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(rows_and_columns[orientation]))
    for kind in ("png", "tiff"):
        image = load_image(encoded(stored, kind, exif=exif))
        assert np.array_equal(np.asarray(image), upright)
        assert np.array_equal(np.asarray(load_image(image)), upright), "turned twice"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_leaves_a_sound_photo_as_it_is() -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), "png", exif=b"Exif\x00\x00II*\x00nonsense")
    assert corner(load_image(data)) == RED


def test_transparent_parts_become_white() -> None:
    assert corner(load_image(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "png"))) == WHITE


def test_half_transparent_parts_are_mixed_with_white() -> None:
    red, green, blue = corner(load_image(Image.new("RGBA", (4, 4), (255, 0, 0, 128))))
    assert red == 255 and green == blue == pytest.approx(127, abs=1)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_transparency_of_one_colour_becomes_white(mode: str) -> None:
    image = Image.new(mode, (4, 4), 0)
    transparent = (0, 0, 0) if mode == "RGB" else 0
    assert corner(load_image(encoded(image, "png", transparency=transparent))) == WHITE


def test_palette_colours_are_looked_up() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    assert corner(load_image(encoded(image, "gif"))) == RED


def test_cmyk_red_stays_red() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpeg")
    assert b"Adobe" in data, "this is the inverted kind"
    assert corner(load_image(data)) == pytest.approx(RED, abs=3)


def test_16_bit_mid_grey_is_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.full((4, 4), 32768, np.uint16))
    for kind in ("png", "tiff", "ppm"):
        assert corner(load_image(encoded(grey, kind))) == (128, 128, 128)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[0.0, np.nan, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[0, 100, 200]], np.int32), [0, 100, 200]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[-100, 0, 1_000_000]], np.int32), [0, 0, 255]),
        (np.array([[0, 0, 0]], np.int32), [0, 0, 0]),
    ],
)
def test_32_bit_values_are_scaled_by_their_range(values: np.ndarray, expected: list[int]) -> None:
    image = load_image(encoded(Image.fromarray(values), "tiff"))
    assert np.asarray(image)[0, :, 0].tolist() == expected


def grey16(value: int, kind: str, **options: object) -> bytes:
    """A file of grey pixels of 16 bits."""
    return encoded(Image.fromarray(np.full((4, 4), value, np.uint16)), kind, **options)


def with_significant_bits(png: bytes, *bits: int) -> bytes:
    """The PNG with an sBIT chunk after its header."""
    chunk = b"sBIT" + bytes(bits)
    return png[:33] + struct.pack(">I", len(bits)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3913, 244),
        (4095, 255),
        (1023, 255),
        (512, 128),
        (16383, 255),
        (5000, 156),
        (20000, 156),
        (511, 255),
        (300, 150),
        (2047, 255),
        (1500, 187),
        (32767, 255),
        (40000, 156),
        (100, 100),
        (0, 0),
    ],
)
def test_16_bit_values_of_fewer_bits_are_scaled_by_the_fewest_that_hold_them(
    kind: str, value: int, expected: int
) -> None:
    assert corner(load_image(grey16(value, kind))) == (expected,) * 3


@pytest.mark.parametrize(
    ("value", "bits", "expected"),
    [
        (900, 12, 56),
        (4095, 12, 255),
        (900, 14, 14),
        (900, 16, 4),
        (3913, 16, 15),
        (5000, 12, 19),  # spread over 16 bits, as PNG wants it
        (900, 99, 224),  # no number of bits
    ],
)
def test_significant_bits_of_a_png_say_what_is_white(value: int, bits: int, expected: int) -> None:
    data = with_significant_bits(grey16(value, "png"), bits)
    assert corner(load_image(data)) == (expected,) * 3


@pytest.mark.parametrize(
    ("value", "largest", "expected"),
    [(900, 4095, 56), (900, 16383, 14), (3913, 65535, 15), (900, 1000, 230), (900, 0, 224), (900, 500, 4)],
)
def test_largest_sample_value_of_a_tiff_is_white(value: int, largest: int, expected: int) -> None:
    assert corner(load_image(grey16(value, "tiff", tiffinfo={281: largest}))) == (expected,) * 3


def test_tiff_of_12_bits_a_sample_is_scaled_by_them() -> None:
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    pixels = bytes([0x38, 0x43, 0x84])  # 900 twice
    data = b"II*\0" + struct.pack("<I", 12) + pixels + b"\0" + struct.pack("<H", 9) + entries + bytes(4)
    assert corner(load_image(data)) == (56,) * 3


@pytest.mark.parametrize(("largest", "expected"), [(1023, 224), (4095, 56), (65535, 4)])
def test_ppm_is_scaled_by_its_own_maximum(largest: int, expected: int) -> None:
    data = b"P5 2 1 %d\n" % largest + struct.pack(">2H", 900, 900)
    assert corner(load_image(data)) == pytest.approx((expected,) * 3, abs=1)


def test_dark_ppm_and_jpeg2000_of_16_bits_stay_dark() -> None:
    for kind in ("ppm", "jpeg2000"):
        assert corner(load_image(grey16(200, kind))) == (1, 1, 1)


@pytest.mark.parametrize(("value", "expected"), [(1000, 249), (4000, 249), (16000, 249), (60000, 233)])
def test_32_bit_integers_have_the_same_usual_scales(value: int, expected: int) -> None:
    image = load_image(encoded(Image.fromarray(np.full((4, 4), value, np.int32)), "tiff"))
    assert corner(image) == (expected,) * 3


def colours16(*values: int) -> bytes:
    """A PNG of one pixel in RGB of 16 bits, with alpha in grey or RGB if there are two or four values."""
    kind = {2: 4, 3: 2, 4: 6}[len(values)]
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 16, kind, 0, 0, 0),
        b"IDAT" + zlib.compress(b"\0" + struct.pack(f">{len(values)}H", *values)),
        b"IEND",
    )
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("values", "bits", "expected"),
    [
        ((4095, 2048, 0), (), (255, 128, 0)),
        ((1023, 512, 0), (), (255, 128, 0)),
        ((16383, 8192, 0), (), (255, 128, 0)),
        ((255, 128, 7), (), (255, 128, 7)),
        ((511, 300, 0), (), (255, 150, 0)),
        ((2047, 1500, 0), (), (255, 187, 0)),
        ((32767, 20000, 0), (), (255, 156, 0)),
        ((200, 100, 0), (16, 16, 16), (0, 0, 0)),
        ((200, 100, 0), (8, 8, 8), (200, 100, 0)),
        ((65535, 4095, 0), (), (255, 15, 0)),
        ((2048, 0, 0), (12, 12, 12), (128, 0, 0)),
        ((2048, 0, 0), (16, 16, 16), (8, 0, 0)),
        ((8192, 0, 0), (12, 12, 12), (32, 0, 0)),
        ((0, 0, 0), (), (0, 0, 0)),
        ((4095, 2048, 0, 65535), (), (255, 128, 0)),
        ((4095, 2048, 0, 4095), (), (255, 128, 0)),
        ((4095, 2048, 0, 0), (), WHITE),
        ((2048, 65535), (), (128,) * 3),
        ((1023, 1023), (), WHITE),
        ((2048, 0, 0, 65535), (12, 12, 12, 16), (128, 0, 0)),
        ((2048, 4095), (12, 12), (128,) * 3),
    ],
)
def test_colours_of_fewer_bits_in_16_are_scaled_too(
    values: tuple[int, ...], bits: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    data = colours16(*values)
    assert corner(load_image(with_significant_bits(data, *bits) if bits else data)) == expected


@pytest.mark.parametrize("kind", ["png", "ppm"])
def test_a_dark_photo_of_a_declared_range_stays_dark(kind: str) -> None:
    if kind == "png":
        data = with_significant_bits(colours16(9000, 9000, 9000), 16, 16, 16)
    else:
        data = b"P6 1 1 65535\n" + struct.pack(">3H", 9000, 9000, 9000)
    assert corner(load_image(data)) == (35,) * 3


def test_8_bit_colours_in_16_are_read_of_an_opened_image(tmp_path: Path) -> None:
    data = colours16(255, 128, 7, 65535)
    (tmp_path / "a.png").write_bytes(data)
    for source in (io.BytesIO(data), tmp_path / "a.png"):
        assert corner(load_image(Image.open(source))) == (255, 128, 7)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("values", "expected"), [((4095, 2048, 0), (255, 128, 0)), ((200, 100, 7), (200, 100, 7))]
)
def test_colours_of_fewer_bits_in_a_tiff_are_scaled_too(
    order: str, compressed: bool, values: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    pixels = struct.pack(order + "3H", *values)
    pixels = zlib.compress(pixels) if compressed else pixels
    tags = {256: 1, 257: 1, 258: 8, 259: 8 if compressed else 1, 262: 2, 273: 14, 277: 3, 278: 1}
    tags[279] = len(pixels)
    entries = b"".join(
        struct.pack(order + "HHII", tag, 3 if tag == 258 else 4, 3 if tag == 258 else 1, value)
        for tag, value in tags.items()
    )
    bits = struct.pack(order + "3H", 16, 16, 16)
    begin = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 14 + len(pixels))
    data = begin + bits + pixels + struct.pack(order + "H", len(tags)) + entries + bytes(4)
    assert corner(load_image(data)) == expected


def test_one_bit_white_is_white() -> None:
    assert corner(load_image(encoded(Image.new("1", (4, 4), 1), "png"))) == WHITE


def test_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 0, 255))]
    data = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert corner(load_image(data)) == RED


# --- where images come from -----------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_image(tmp_path: Path) -> None:
    photo = Image.new("RGB", (4, 4), RED)
    path = tmp_path / "red.png"
    photo.save(path)
    with path.open("rb") as stream:
        for source in (path, str(path), path.read_bytes(), stream, photo, lambda: photo):
            assert corner(load_image(source)) == RED


def test_draft_halves_a_large_jpeg_but_not_below_the_side_needed() -> None:
    data = encoded(Image.new("RGB", (1000, 700), RED), "jpeg")
    assert load_image(data).size == (1000, 700)
    assert load_image(data, draft=224).size == (500, 350)
    assert load_image(data, draft=351).size == (1000, 700)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp", "tiff"])
def test_truncated_file_is_refused(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / f"half.{kind}"
    path.write_bytes(data[: len(data) // 2])
    assert refusal(path).startswith(f"{path}: cannot be decoded")


def test_bytes_that_are_no_image_are_refused_with_the_formats(tmp_path: Path) -> None:
    path = tmp_path / "noise.jpg"
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    assert refusal(path).startswith(f"{path}: is not an image of a known format (JPEG, PNG")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert refusal(path) == f"{path}: is empty"


def test_image_without_pixels_is_refused() -> None:
    assert refusal(Image.new("RGB", (0, 5))) == "image: cannot be decoded (it has no pixels)"


@pytest.mark.parametrize("side", [13_400, 60_000])
def test_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = encoded(Image.new("1", (1, 1)), "png")
    path = tmp_path / "bomb.png"
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    assert refusal(path) == f"{path}: has more than 178956970 pixels"


def test_missing_file_folder_and_dangling_link_are_told_apart(tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "nowhere.png")
    assert refusal(tmp_path / "none.png") == f"{tmp_path / 'none.png'}: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: is a folder, not an image"
    assert refusal(link) == f"{link}: is a link to a missing file"


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert refusal(pipe) == f"{pipe}: is a pipe or a device, not an image"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.touch(mode=0)
    assert refusal(path) == f"{path}: Permission denied"


def test_name_with_line_breaks_stays_on_one_line() -> None:
    assert refusal("two\nlines.png") == "'two\\nlines.png': No such file or directory"
    assert "null byte" in refusal("zero\0byte.png")


def test_error_in_a_drawing_function_is_a_bug_and_passes() -> None:
    def draw() -> Image.Image:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load_image(draw)


# --- finding --------------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.jpg",
        "A.PNG",
        "notes.txt",
        "deep/er/c.webp",
        "folder.png/d.gif",
        "empty/x.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "dangling.jpeg").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*paths: str) -> list[str]:
    return [str(path) for path in find_images(paths)]


def test_folder_gives_its_images_sorted_broken_ones_too(album: Path) -> None:
    names = ["A.PNG", "b.jpg", "dangling.jpeg", "deep/er/c.webp", "folder.png/d.gif"]
    assert found(str(album)) == [str(album / name) for name in names]


def test_pattern_gives_the_images_it_matches(album: Path) -> None:
    assert found("**/*.*") == [
        "A.PNG",
        "b.jpg",
        "dangling.jpeg",
        "deep/er/c.webp",
        "folder.png/d.gif",
    ]


def test_file_whose_name_looks_like_a_pattern_is_itself(album: Path) -> None:
    (album / "[b].jpg").touch()
    assert found("[b].jpg") == ["[b].jpg"]


def test_missing_and_unusual_files_are_passed_on_in_order(album: Path) -> None:
    assert found("none.jpg", "notes.txt", "b.jpg") == ["none.jpg", "notes.txt", "b.jpg"]


def test_paths_on_standard_input_are_read_a_line_each(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.TextIOWrapper(io.BytesIO(b"b.jpg\n\ndeep\r\nno\xffutf8.jpg"))
    monkeypatch.setattr("sys.stdin", lines)
    assert found("A.PNG", "-") == [
        "A.PNG",
        "b.jpg",
        "deep/er/c.webp",
        os.fsdecode(b"no\xffutf8.jpg"),
    ]


@pytest.mark.parametrize("path", ["empty", "*.tga"])
def test_folder_or_pattern_without_image_is_refused(album: Path, path: str) -> None:
    with pytest.raises(CaptionerError, match=r"no image in it, their names end in .*\.jpg"):
        found(path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")
def test_closed_folder_is_passed_on_and_the_others_are_read() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name in ("a", "closed", "z"):
        (folder / name).mkdir()
        (folder / name / "photo.png").touch()
    (folder / "closed").chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may list everything
        assert found(str(folder)) == [
            str(folder / "a/photo.png"),
            str(folder / "z/photo.png"),
            str(folder / "closed"),
        ]
        assert refusal(folder / "closed") == f"{folder / 'closed'}: Permission denied"
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


def test_endless_line_on_standard_input_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/zero") as zeros:
        monkeypatch.setattr("sys.stdin", zeros)
        assert len(str(next(find_images(["-"])))) == LONGEST_PATH


def test_paths_are_expanded_one_at_a_time(album: Path) -> None:
    paths = find_images(["b.jpg", "empty"])
    assert next(paths) == Path("b.jpg")


# --- framing --------------------------------------------------------------------------------------


def test_crop_sees_the_centre_square_and_squash_everything() -> None:
    photo = Image.new("RGB", (30, 10), "white")
    photo.paste(RED, (10, 0, 20, 10))
    crop, squash = (Preprocess(10, resize) for resize in ("crop", "squash"))
    assert crop.box(photo.size) == (10, 0, 20, 10)
    assert np.array_equal(np.asarray(crop.frame(photo)), np.broadcast_to(RED, (10, 10, 3)))
    assert squash.box(photo.size) == (0, 0, 30, 10)
    assert corner(squash.frame(photo)) == WHITE


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000)])
def test_very_long_photos_are_framed(resize: str, size: tuple[int, int]) -> None:
    framed = Preprocess(224, resize).frame(Image.new("RGB", size, RED))
    assert framed.size == (224, 224) and corner(framed) == RED


def test_pixels_are_channels_first_bytes() -> None:
    pixels = Preprocess(2, "crop").pixels(Image.new("RGB", (2, 2), (1, 2, 3)))
    assert pixels.dtype == torch.uint8
    assert pixels.tolist() == [[[value] * 2] * 2 for value in (1, 2, 3)]


# --- what a header tells --------------------------------------------------------------------------


def test_pixels_are_counted_without_decoding_them() -> None:
    data = encoded(Image.new("RGB", (30, 20)), "png")
    check_pixels(data, 600)
    check_pixels(data[:60], 600)  # its pixels are cut off
    with pytest.raises(TooManyPixels, match="image: has 30 x 20 pixels, more than 599"):
        check_pixels(data, 599)
    with pytest.raises(UnknownFormat, match="image: is not an image of a known format"):
        check_pixels(b"text", 600)
    with pytest.raises(CaptionerError, match="image: is empty"):
        check_pixels(b"", 600)


def test_an_encoder_that_wants_an_unknown_shape_is_refused() -> None:
    with pytest.raises(CaptionerError, match=r"^encoder.resize: 'pad' is not one of crop, squash"):
        Preprocess.of(EncoderConfig(name="small", resize="pad"))


@pytest.mark.parametrize("size", [(4000, 3000), (1203, 2011), (900, 700), (331, 500), (64, 64), (5000, 40)])
@pytest.mark.parametrize("turn", [1, 6, 3])
def test_photo_that_is_shown_is_decoded_once(
    tmp_path: Path, size: tuple[int, int], turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / "photo.jpg"
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, quality=92, exif=exif)
    preprocess = Preprocess(292, "squash")
    alone = np.asarray(preprocess.view(path).square, int)
    opened = []
    monkeypatch.setattr(Image, "open", lambda *a, _open=Image.open, **k: opened.append(a) or _open(*a, **k))
    view = preprocess.view(path, shown=True)
    assert len(opened) == 1
    assert np.abs(np.asarray(view.square, int) - alone).max() <= 3  # of 255: rounding
    upright = size if turn != 6 else size[::-1]
    longest = min(800, max(size))
    assert view.photo is not None and max(view.photo.size) == longest
    width, height = (round(side * longest / max(size)) for side in upright)
    assert abs(view.photo.width - width) <= 1 and abs(view.photo.height - height) <= 1


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.array([[0, 3913]], np.uint16), "4095"),
        (np.array([[7, 900]], np.uint16), "1023"),
        (np.array([[20.0, 35.5]], np.float32), "35.5"),
        (np.array([[0, 100_000]], np.int32), "100000"),
    ],
)
def test_value_that_is_taken_for_white_is_told_once(
    values: np.ndarray, white: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("captioner.data.photos.depth._told", [])
    for sure in (np.array([[0, 65535]], np.uint16), np.array([[0.0, 1.0]], np.float32)):
        load_image(encoded(Image.fromarray(sure), "TIFF"))
    assert capsys.readouterr().err == ""
    for _ in range(3):
        load_image(encoded(Image.fromarray(values), "TIFF"))
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"{white} is taken" in told
