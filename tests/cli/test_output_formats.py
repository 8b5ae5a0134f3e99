"""The formats of captions, as photo tools read them; exiftool is the judge where it is installed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import tiny

from captioner.cli.main import main
from captioner.cli.output.formats import CAPTION_FORMATS, as_json
from captioner.cli.output.metadata import Metadata
from captioner.errors import CaptionerError

Command = Callable[..., tuple[int, str, str]]
needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
RECORDS: list[dict[str, Any]] = [
    {"path": "a, b.jpg", "caption": 'a "dog"', "words": ["a"], "log_prob": -1.0, "confidence": -0.5},
    {"path": "line\nend.png", "error": "line\\nend.png: is empty"},
    {"path": os.fsdecode(b"no\xffutf8.jpg"), "caption": "café, 狗", "confidence": -0.25},
    {"path": "d.jpg", "caption": "", "confidence": -3.0, "reason": "confidence -3 is below -2"},
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, record in zip(("a.png", "b.jpg", "über 狗.jpg"), tiny.records()):
        record.source().resize((64, 48)).save(folder / name, quality=90)  # type: ignore[operator]
    return folder


@pytest.fixture
def caption(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[int, str, str]:
        given = ["caption", "--checkpoint", tiny.model_file(), "--device", "cpu", *arguments]
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in given])
        return (int(caught.value.code or 0), *capsys.readouterr())

    return run


def exiftool(*arguments: object) -> Any:
    done = subprocess.run(["exiftool", *map(str, arguments)], capture_output=True, check=False)
    return done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode()


def tags(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exiftool("-j", "-G1", path)[1])[0]
    return found


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAPTION_FORMATS)
def test_file_is_read_as_it_was_written(name: str) -> None:
    written_as = CAPTION_FORMATS[name]
    text = (
        written_as.head + "".join(written_as.row(r, i == 0) for i, r in enumerate(RECORDS)) + written_as.foot
    )
    lines = (
        text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape").splitlines(keepends=True)
    )
    read = list(written_as.read(lines))
    again = written_as.head + "".join(written_as.row(r, i == 0) for i, r in enumerate(read)) + written_as.foot
    assert again == text
    kept = [r for r in RECORDS if name != "text" or "error" not in r]
    assert [r["path"] for r in read] == [r["path"] for r in kept]
    assert [r.get("caption") for r in read] == [r.get("caption") for r in kept]


def test_csv_is_that_of_any_reader(caption: Command, photos: Path, tmp_path: Path) -> None:
    (photos / "c.png").write_bytes(b"broken")
    assert caption(photos, "--output", tmp_path / "out.csv")[0] == 1
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["SourceFile", "Description", "confidence", "reason", "error"]
    assert [Path(row["SourceFile"]).name for row in rows] == ["a.png", "b.jpg", "c.png", "über 狗.jpg"]
    assert all(row["Description"] and float(row["confidence"]) < 0 for row in rows if not row["error"])
    assert rows[2]["Description"] == "" and "c.png" in rows[2]["error"]


def test_json_is_a_list_and_printed_as_it_comes(caption: Command, photos: Path) -> None:
    status, out, _ = caption(photos, "--format", "json")
    entries = json.loads(out)
    assert status == 0 and [entry["Description"] != "" for entry in entries] == [True] * 3
    assert "über 狗.jpg" in out


def test_names_stay_readable_and_only_lone_bytes_are_escaped() -> None:
    path = os.fsdecode("照片\n".encode() + b"\xff")
    text = as_json({"path": path})
    assert text == '{"path": "照片\\n\\udcff"}' and json.loads(text) == {"path": path}
    text.encode()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--format", "csv", "--output", "a.jsonl"], "does not fit --format csv"),
        (["--output", "a.jpg"], "would be a photo by its name"),
        (["--format", "txt", "--output", "a.txt"], "writes beside each photo"),
        (["--retry-errors"], "needs --resume"),
        (["--resume"], "needs --output"),
        (["--output", "a.csv", "--resume", "--overwrite"], "give one of them"),
        (["--template", "{mood}"], "there is no field {mood}"),
        (["--template", "{"], "--template"),
        (["--language-tag", "en'><x"], "is not a tag"),
    ],
)
def test_what_does_not_go_together_is_refused(
    caption: Command, photos: Path, given: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    status, out, err = caption(photos, *given)
    assert (status, out) == (2, "") and told in err and err.count("\n") == 1
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


# --- wording ---------------------------------------------------------------------------------------------


def test_caption_is_worded_as_asked(caption: Command, photos: Path) -> None:
    plain = caption(photos / "a.png")[1].rstrip("\n").split("\t")[1]
    worded = caption(photos / "a.png", "--sentence", "--template", "{stem}: {caption} ({folder})")[1]
    assert worded.rstrip("\n").split("\t")[1] == f"a: {plain[0].upper()}{plain[1:]}. (photos)"


def test_caption_of_low_confidence_is_left_empty_with_the_reason(caption: Command, photos: Path) -> None:
    (record,) = [json.loads(line) for line in caption(photos / "a.png", "--format", "jsonl")[1].splitlines()]
    confidence = record["confidence"]
    assert confidence == pytest.approx(record["log_prob"] / (len(record["words"]) + 1), abs=1e-4)
    for threshold, kept in ((confidence - 0.01, True), (confidence + 0.01, False)):
        given = [photos / "a.png", "--format", "jsonl", f"--min-confidence={threshold}"]
        (record,) = [json.loads(line) for line in caption(*given)[1].splitlines()]
        assert (record["caption"] != "") == kept == ("reason" not in record)


# --- beside the photos -------------------------------------------------------------------------------------


def test_sidecars_of_text_stand_beside_the_photos(caption: Command, photos: Path) -> None:
    expected = [line.split("\t")[1] for line in caption(photos)[1].splitlines()]
    assert caption(photos, "--format", "txt")[:2] == (0, "")
    found = [(photos / name).read_text() for name in ("a.txt", "b.txt", "über 狗.txt")]
    assert found == [f"{text}\n" for text in expected]


@pytest.mark.parametrize("kind", ["txt", "xmp"])
def test_sidecar_that_exists_is_left(caption: Command, photos: Path, kind: str) -> None:
    sidecar = photos / {"txt": "b.txt", "xmp": "b.jpg.xmp"}[kind]
    sidecar.write_text("the user's")
    status, _, err = caption(photos, "--format", kind)
    assert status == 1 and sidecar.name in err and "2 captioned, 1 could not be read" in err
    assert sidecar.read_text() == "the user's"
    assert caption(photos, "--format", kind, "--resume")[0] == 0
    assert sidecar.read_text() == "the user's"
    status, _, err = caption(photos, "--format", kind, "--overwrite")
    if kind == "txt":
        assert status == 0 and sidecar.read_text() != "the user's"
    else:  # it may hold ratings and edits
        assert status == 1 and sidecar.read_text() == "the user's" and "another program" in err


@needs_exiftool
def test_exiftool_reads_xmp_sidecars(caption: Command, photos: Path) -> None:
    expected = caption(photos / "b.jpg")[1].rstrip("\n").split("\t")[1]
    given = [photos / "b.jpg", "--format", "xmp", "--language-tag", "pt-BR", "--template", "<{caption}> & é"]
    assert caption(*given)[0] == 0
    found = tags(photos / "b.jpg.xmp")
    for field in ("XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility"):
        assert found[field] == found[f"{field}-pt-BR"] == f"<{expected}> & é"
    assert caption(*given, "--overwrite")[0] == 0  # its own


@needs_exiftool
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_exiftool_imports_the_file(caption: Command, photos: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"out.{kind}"
    caption(photos, "--output", out)
    expected = dict(line.split("\t") for line in caption(photos)[1].splitlines())
    _, _, said = exiftool(f"-{kind}={out}", photos)
    assert "3 image files updated" in said and "arning" not in said
    for path, text in expected.items():
        assert tags(Path(path))["XMP-dc:Description"] == text


# --- within the photos -------------------------------------------------------------------------------------


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@needs_exiftool
def test_metadata_is_written_and_pixels_are_not(caption: Command, photos: Path) -> None:
    before = {path: (pixels(path), int(path.stat().st_mtime)) for path in photos.iterdir()}
    status, out, _ = caption(photos, "--write-metadata")
    assert status == 0
    for line in out.splitlines():
        name, text = line.split("\t")
        found = tags(Path(name))
        fields = ("IFD0:ImageDescription", "IPTC:Caption-Abstract", "XMP-dc:Description")
        assert [found[field] for field in (*fields, "XMP-iptcCore:AltTextAccessibility")] == [text] * 4
    assert set(photos.iterdir()) == set(before)  # no _original is left
    for path, (held, time) in before.items():
        assert np.array_equal(pixels(path), held) and int(path.stat().st_mtime) == time


@needs_exiftool
@pytest.mark.parametrize("field", ["EXIF:ImageDescription", "IPTC:Caption-Abstract", "XMP-dc:Description"])
def test_description_that_exists_is_left(caption: Command, photos: Path, field: str) -> None:
    exiftool("-overwrite_original", f"-{field}=mine", photos / "b.jpg")
    before = (photos / "b.jpg").read_bytes()
    status, _, err = caption(photos, "--write-metadata")
    assert status == 1 and "has a description" in err
    assert (photos / "b.jpg").read_bytes() == before
    assert caption(photos / "b.jpg", "--write-metadata", "--overwrite")[0] == 0
    assert tags(photos / "b.jpg")["XMP-dc:Description"] != "mine"


@needs_exiftool
def test_file_that_exiftool_cannot_write_is_an_error_with_its_reason(caption: Command, photos: Path) -> None:
    Image.open(photos / "a.png").save(photos / "c.bmp")
    status, _, err = caption(photos, "--write-metadata")
    assert status == 1 and "c.bmp: exiftool cannot write it (" in err and "BMP" in err


@needs_exiftool
def test_any_name_and_caption_goes_through_exiftool(photos: Path) -> None:
    path = photos / "-line\nend \\n 'q'.jpg"
    shutil.copy(photos / "b.jpg", path)
    text = 'two\nlines \\n "quoted" -execute é'
    with Metadata("en", overwrite=False) as metadata:
        metadata.write(path, text)
        with pytest.raises(CaptionerError, match="has a description"):
            metadata.check(path)
    assert tags(path.absolute())["XMP-dc:Description"] == text


def test_missing_exiftool_is_told_before_anything(
    caption: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert caption(photos, "--write-metadata")[::2] == (
        2,
        "captioner: --write-metadata: needs exiftool (https://exiftool.org) on the PATH\n",
    )
