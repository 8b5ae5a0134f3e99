"""A photo library as people have it: every file is captioned, an error, or counted among what is left out."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from support import tiny
from support.dng import dng

from captioner.cli.main import main
from captioner.data.photos import formats
from captioner.data.photos.find import EXCLUDED, HIDDEN, LINK, Finder
from captioner.data.photos.image import load_image
from captioner.errors import CaptionerError

RED, BLUE = (200, 20, 10), (10, 30, 200)


def photo() -> Image.Image:
    """Red at the left, blue at the right."""
    image = Image.new("RGB", (96, 64), BLUE)
    image.paste(RED, (0, 0, 48, 64))
    return image


def is_photo(image: Image.Image, tolerance: int = 40) -> bool:
    left, right = (image.getpixel((x * image.width // 4, image.height // 2)) for x in (1, 3))
    return all(np.abs(np.subtract(a, b)).max() < tolerance for a, b in ((left, RED), (right, BLUE)))


SAVED = {  # ending: how Pillow and its plugins are asked for it
    "jpg": "JPEG", "JPEG": "JPEG", "jpe": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP",
    "tif": "TIFF", "tiff": "TIFF", "ppm": "PPM", "jp2": "JPEG2000", "avif": "AVIF", "mpo": "MPO",
    "heic": "HEIF", "heif": "HEIF", "jxl": "JXL",
}  # fmt: skip


def written(ending: str) -> bytes:
    """The photo as a file with this ending."""
    if f".{ending.lower()}" in formats.RAW:
        return dng(photo())
    stream = io.BytesIO()
    more = {"save_all": True, "append_images": [photo()]} if ending == "mpo" else {}
    photo().save(stream, SAVED[ending], **more)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.fixture
def all_plugins() -> None:
    for module in formats.PLUGINS:
        pytest.importorskip(module)
    formats.known_formats()


@pytest.mark.parametrize("ending", [*SAVED, "dng", "DNG"])
def test_photo_is_read(tmp_path: Path, ending: str, all_plugins: None) -> None:
    path = tmp_path / f"photo.{ending}"
    path.write_bytes(written(ending))
    assert [path] == list(Finder().find([str(tmp_path)]))
    image = load_image(path)
    assert image.size == (96, 64) and is_photo(image)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_preview_of_a_raw_file_is_upright(tmp_path: Path, orientation: int, all_plugins: None) -> None:
    turned = photo().rotate({3: 180, 6: 90, 8: 270}[orientation], expand=True)
    path = tmp_path / "photo.dng"
    path.write_bytes(dng(turned, orientation))
    image = load_image(path)
    assert image.size == (96, 64) and is_photo(image)


def test_damaged_raw_file_is_one_error(tmp_path: Path, all_plugins: None) -> None:
    path = tmp_path / "photo.nef"
    for content in (b"no raw file", b"", dng(photo())[:400]):
        path.write_bytes(content)
        with pytest.raises(CaptionerError, match=r"photo\.nef: "):
            load_image(path)


def test_what_a_plugin_would_read_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.known_formats()
    found = formats.find_spec
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name in formats.PLUGINS else found(name))
    monkeypatch.setattr(formats, "known_formats", lambda: ("JPEG", "PNG"))
    formats.extensions.cache_clear()
    try:
        for name in ("a.jpg", "b.heic", "c.HEIC", "d.jxl", "e.cr2", "f.mov"):
            (tmp_path / name).write_bytes(b"")
        finder = Finder()
        assert [path.name for path in finder.find([str(tmp_path)])] == ["a.jpg"]
        assert finder.account() == (
            "left out: 2 .heic (pip install 'captioner[heic]'), 1 .jxl (pip install 'captioner[jxl]'), "
            "1 .cr2 (pip install 'captioner[raw]'), 1 .mov"
        )
    finally:
        formats.extensions.cache_clear()


# --- the whole of it -----------------------------------------------------------------------------------


HOLIDAY = [f"2024/IMG_{n:04d}.{ending}" for n, ending in enumerate([*SAVED, "dng", "nef", "arw", "cr2"] * 2)]
BROKEN = ["2024/cut.jpg", "2024/empty.png", "2024/text.webp", "2024/cut.heic", "2024/cut.dng"]
OTHER = [
    "2024/clip.mov",
    "2024/clip2.MOV",
    "2024/notes.txt",
    "2024/IMG_0001.xmp",
    "2024/README",
    "a.jpg_large",
]
UNWANTED = [
    *("._IMG_0001.jpg", ".DS_Store", "2024/.hidden.jpg", "2024/@eaDir/IMG_0001.jpg/SYNOPHOTO_THUMB_M.jpg"),
    *(".thumbnails/1.jpg", ".Trash-1000/files/a.jpg", "$RECYCLE.BIN/b.jpg", "#recycle/c.jpg"),
    *("__MACOSX/2024/._IMG_0001.jpg", "lost+found/d.jpg", ".git/e.png"),
]
LEFT = 80 - len(HOLIDAY) - len(BROKEN) - len(OTHER) - len(UNWANTED)


@pytest.fixture
def library(tmp_path: Path, all_plugins: None) -> Path:
    folder = tmp_path / "library"
    names = [*HOLIDAY, *(f"old/{n}.jpg" for n in range(LEFT))]
    for name in [*names, *BROKEN, *OTHER, *UNWANTED]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(path.suffix[1:]) if name in names else b"")
    for name in BROKEN:
        kind, ending = Path(name).stem, Path(name).suffix[1:]
        (folder / name).write_bytes({"empty": b"", "text": b"text"}.get(kind) or written(ending)[:400])
    (folder / "2024/empty.png").write_bytes(b"")
    return folder


def test_eighty_files_are_accounted_for(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sum(path.is_file() for path in library.rglob("*")) == 80 and LEFT > 0
    out = tmp_path / "out.jsonl"
    with pytest.raises(SystemExit) as caught:
        main(["caption", str(library), "--checkpoint", str(tiny.model_file()), "--output", str(out)])
    line = capsys.readouterr().err
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    failed = {str(Path(r["path"]).relative_to(library)) for r in records if "error" in r}
    assert caught.value.code == 1 and failed == set(BROKEN)
    told = re.fullmatch(r"captioner: (\d+) captioned, (\d+) could not be read, left out: (.*)\n", line)
    assert told is not None and int(told[2]) == len(BROKEN)
    left_out = {kind: int(count) for count, kind in (part.split(" ", 1) for part in told[3].split(", "))}
    kinds = {".mov": 2, ".txt": 1, ".xmp": 1, "without an ending": 1, ".jpg_large": 1}
    assert left_out == {HIDDEN: len(UNWANTED), **kinds}
    assert int(told[1]) == len(records) - len(BROKEN) == len(HOLIDAY) + LEFT
    assert len(records) + sum(left_out.values()) == 80


# --- which images ----------------------------------------------------------------------------------------


def names(finder: Finder, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in finder.find([str(folder)])]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "a_small.jpg", "below/b.jpg", "below/old/c.jpg", "skip/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_subfolders_are_left_out_when_asked(tree: Path) -> None:
    assert names(Finder(recursive=False), tree) == ["a.jpg", "a_small.jpg"]


def test_names_and_folders_are_excluded(tree: Path) -> None:
    finder = Finder(exclude=["*_small.jpg", "skip", "*/below/old"])
    assert names(finder, tree) == ["a.jpg", "below/b.jpg"]
    assert finder.left_out == {EXCLUDED: 3}


def test_hidden_file_is_read_when_it_is_named(tmp_path: Path) -> None:
    for name in (".hidden.jpg", ".folder/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = [str(tmp_path / ".hidden.jpg"), str(tmp_path / ".folder")]
    assert list(Finder().find(given)) == [tmp_path / ".hidden.jpg", tmp_path / ".folder" / "a.jpg"]


def test_paths_may_end_with_a_zero_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "line\nend.jpg"
    stream = io.TextIOWrapper(io.BytesIO(bytes(path) + b"\0" + b"other.jpg\0"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert list(Finder(null_separated=True).find(["-"])) == [path, Path("other.jpg")]


@pytest.mark.parametrize(
    "name", ["IMG_1", "a.jpg_large", "b.jpeg~", "c.png!d", "12.30.45", "no. 7 (b)", "d.jpg-orig"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_photo_whose_name_does_not_say_so_is_found(tmp_path: Path, name: str, kind: str) -> None:
    photo().save(tmp_path / name, kind)
    assert names(Finder(), tmp_path) == [name] and is_photo(load_image(tmp_path / name), 90)


@pytest.mark.parametrize(
    "name", ["clip.mov", "page.html", "x.psd", "notes", "e.jpg_large", "IMG_2", "12.30.46"]
)
def test_other_file_whose_name_says_nothing_is_counted(tmp_path: Path, name: str) -> None:
    photo().save(tmp_path / "a.jpg")
    believed = name in ("clip.mov", "page.html", "x.psd")
    (tmp_path / name).write_bytes((tmp_path / "a.jpg").read_bytes() if believed else b"no photo")
    finder = Finder()
    assert names(finder, tmp_path) == ["a.jpg"] and sum(finder.left_out.values()) == 1


def test_pipe_without_an_ending_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.jpg").touch()
    finder = Finder()
    assert names(finder, tmp_path) == ["a.jpg"] and finder.left_out == {"without an ending": 1}


@pytest.fixture
def albums(tmp_path: Path) -> Path:
    """A folder beside another one, each with a photo and a folder with a photo."""
    for name in ("own/a.jpg", "own/sub/b.jpg", "other/c.jpg", "other/sub/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "own"


OWN = ["a.jpg", "sub/b.jpg"]


@pytest.mark.parametrize(
    ("links", "more", "left_out"),
    [
        ({"link": "../other"}, ["link/c.jpg", "link/sub/d.jpg"], 0),
        ({"one": "../other", "two": "../other"}, ["one/c.jpg", "one/sub/d.jpg"], 1),
        ({"part": "../other/sub", "whole": "../other"}, ["part/d.jpg"], 1),
        ({"up": ".."}, [], 1),
        ({"self": "."}, [], 1),
        ({"sub/again": "."}, [], 1),
        ({"twin": "sub"}, [], 1),
        ({"link": "../other", "../other/back": "../own"}, ["link/c.jpg", "link/sub/d.jpg"], 1),
        ({"link": "../other", "../other/round": "../other"}, ["link/c.jpg", "link/sub/d.jpg"], 1),
    ],
)
def test_linked_folders_are_searched_once(
    albums: Path, links: dict[str, str], more: list[str], left_out: int
) -> None:
    for name, target in links.items():
        (albums / name).symlink_to(target)
    finder = Finder()
    assert sorted(names(finder, albums)) == sorted([*OWN, *more])
    assert finder.left_out == ({LINK: left_out} if left_out else {})


def test_link_to_nothing_is_counted(albums: Path) -> None:
    (albums / "gone").symlink_to("nowhere")
    finder = Finder()
    assert sorted(names(finder, albums)) == OWN and finder.left_out == {"without an ending": 1}


def test_linked_folder_is_left_out_when_it_is_the_output_or_excluded(albums: Path) -> None:
    (albums / "link").symlink_to("../other")
    for finder in (Finder(outputs=[albums.parent / "other"]), Finder(exclude=["link"])):
        assert sorted(names(finder, albums)) == OWN and sum(finder.left_out.values()) > 0


# --- what is made of damage, colours and values ------------------------------------------------------------


def test_truncated_photo_is_captioned_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import ImageFile

    stream = io.BytesIO()
    Image.effect_noise((400, 300), 60).convert("RGB").save(stream, "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    given = ["caption", str(path), "--checkpoint", str(tiny.model_file()), "--device", "cpu"]
    try:
        for more, status in (([], 1), (["--accept-truncated"], 0)):
            with pytest.raises(SystemExit) as caught:
                main([*given, *more])
            assert caught.value.code == status
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def test_libraries_do_not_print_what_names_no_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 60).save(stream, "TIFF", compression="tiff_lzw")
    data = bytearray(stream.getvalue())
    data[200:260] = b"\xff" * 60
    path = tmp_path / "bad.tif"
    path.write_bytes(data)
    program = (
        "import sys\nfrom captioner.data.photos.image import load_image\n"
        "try: load_image(sys.argv[1])\nexcept Exception as error: print(error)\n"
        "print('after', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == "after\n"
    assert "decoder error" not in done.stdout and (
        not done.stdout or "bad.tif: cannot be decoded" in done.stdout
    )


def test_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    """Made with a profile whose red and blue are swapped, the photo's values are swapped back."""
    swapped = Image.merge("RGB", photo().split()[::-1])
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = (profile.index(name, 128) + 4 for name in (b"rXYZ", b"bXYZ"))  # where their values are said
    profile[red : red + 8], profile[blue : blue + 8] = profile[blue : blue + 8], profile[red : red + 8]
    utf16 = [name.encode("utf-16-be") for name in ("sRGB", "XRGB")]
    renamed = bytes(profile).replace(*utf16).replace(b"sRGB", b"XRGB")
    swapped.save(tmp_path / "a.png", icc_profile=renamed)
    assert is_photo(load_image(tmp_path / "a.png"))
    swapped.save(tmp_path / "b.png", icc_profile=b"no profile")
    assert not is_photo(load_image(tmp_path / "b.png"))


@pytest.mark.parametrize(("low", "high"), [(20.0, 35.0), (-5.0, 5.0), (0.0, 3.2), (0.0, 40_000.0)])
def test_float_image_is_scaled_by_what_it_holds(tmp_path: Path, low: float, high: float) -> None:
    values = np.linspace(low, high, 64 * 64, dtype=np.float32).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    grey = np.asarray(load_image(tmp_path / "a.tiff"))[..., 0].astype(float)
    expected = (values - low) / (high - low) * 255
    assert np.abs(grey - expected).max() <= 1


def test_float_image_between_0_and_1_is_taken_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tiff")
    assert load_image(tmp_path / "a.tiff").getpixel((0, 0)) == (128, 128, 128)


def test_address_and_missing_folder_are_told_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday").mkdir()
    for given, told in (
        ("https://example.org/a.jpg", "is an address on the web"),
        ("holday", "there is no such folder or image (did you mean holiday?)"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["caption", given, "--checkpoint", "none.safetensors"])
        assert caught.value.code == 2 and told in capsys.readouterr().err
    shutil.rmtree(tmp_path / "holiday")
