"""Shards are planned from whatever a user types, and each image of theirs has one record."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.shards import SETTINGS, StubPredictor, jpeg, make_tar, make_tars, seen

from captioner.bulk.caption import Settings, caption_shard
from captioner.bulk.kinds import kind_of
from captioner.bulk.outputs import read_records, write_records
from captioner.bulk.places import expand
from captioner.bulk.shards import FOUND, Shard, plan
from captioner.data.photos.find import Finder
from captioner.errors import CaptionerError
from captioner.predictor import load


def planned(typed: Sequence[object], folder: Path, size: int = 4000) -> list[Shard]:
    """The shards of a command line, whose list of photos is written as the command writes it."""
    folder.mkdir(exist_ok=True)
    shards, listing = plan([str(path) for path in typed], size, folder, Finder())
    (folder / FOUND).write_bytes(listing)
    return shards


def captioned(shards: Sequence[Shard], settings: Settings = SETTINGS) -> list[dict]:
    return [record for shard in shards for record in caption_shard(shard, StubPredictor(), settings)]


def captions(records: Sequence[dict]) -> list[str | None]:
    return [record.get("caption") for record in records]


# --- places --------------------------------------------------------------------------------------------


def test_braces_stand_for_what_a_shell_makes_of_them(tmp_path: Path) -> None:
    assert expand("a{08..11}.tar") == ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]
    assert expand("s3://b/{x,y}/{1..2}.tar") == [f"s3://b/{x}/{n}.tar" for x in "xy" for n in "12"]
    (tmp_path / "a{1..2}.tar").touch()
    assert expand(f"{tmp_path}/a{{1..2}}.tar") == [f"{tmp_path}/a{{1..2}}.tar"]


def test_stars_match_in_order_and_nothing_is_told(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "c.txt"):
        (tmp_path / name).touch()
    assert expand(f"{tmp_path}/*.tar") == [f"{tmp_path}/a.tar", f"{tmp_path}/b.tar"]
    with pytest.raises(CaptionerError, match="matches nothing"):
        expand(f"{tmp_path}/*.parquet")
    with pytest.raises(CaptionerError, match="stands for more than"):
        expand("{0..99999999}.tar")


def test_kinds_are_told_by_names() -> None:
    names = [
        "a.TAR",
        "a.tgz",
        "a.tar.gz",
        "http://h/a.tar?sig=x.txt",
        "a.txt",
        "a.parquet",
        "a.jpg",
        "photos",
    ]
    assert [kind_of(name) for name in names] == ["tar"] * 4 + ["list", "table", None, None]


# --- tars ----------------------------------------------------------------------------------------------


def test_tar_has_a_record_per_image_whose_place_can_be_opened(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is missing: pip install 'captioner[ray]'")
    images = make_tars(tmp_path, tars=2, n000005=jpeg(5)[:300])
    records = captioned(planned([f"{tmp_path}/{{00000..00001}}.tar"], tmp_path / "out"))
    assert [record["key"] for record in records] == list(images)
    for record in records:
        with fsspec.open(record["place"]) as file:
            assert file.read() == images[record["key"]]
    assert captions(records) == [None if k == "n000005" else seen(data) for k, data in images.items()]
    assert "n000005.jpg" in records[5]["error"]


def test_keys_are_webdataset_s(tmp_path: Path) -> None:
    names = ["./a/b.seg.jpg", "a.c/d.jpg", "._e.jpg", "f.json", "g.jpg"]
    tar = make_tar(tmp_path / "x.tar", [(name, jpeg(n)) for n, name in enumerate(names)])
    records = captioned(planned([tar], tmp_path / "out"))
    assert [record["key"] for record in records] == ["a/b", "a.c/d", "g"]


@pytest.mark.parametrize("cut", ["within an image", "after an image", "within a header", "damaged header"])
def test_tar_that_is_cut_short_is_captioned_up_to_there_and_told(tmp_path: Path, cut: str) -> None:
    tar = make_tar(tmp_path / "x.tar", [(f"n{n}.jpg", jpeg(n)) for n in range(4)])
    with tarfile.open(tar) as opened:
        third = opened.getmembers()[2]
    whole = bytearray(tar.read_bytes())
    if cut == "damaged header":
        whole[third.offset : third.offset + 100] = b"\xff" * 100
    end = {"within an image": third.offset_data + 100, "after an image": third.offset}
    end["within a header"] = third.offset + 100
    tar.write_bytes(whole[: end.get(cut, len(whole))])
    records = captioned(planned([tar], tmp_path / "out"))
    assert captions(records[:2]) == [seen(jpeg(0)), seen(jpeg(1))]
    assert [(record["key"], "error" in record) for record in records[2:]] == (
        [("n2", True), ("", True)] if cut == "within an image" else [("", True)]
    )


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, None])
def test_tar_that_is_none_is_one_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.tar").write_bytes(content)
    (record,) = captioned(planned([tmp_path / "x.tar"], tmp_path / "out"))
    assert record["key"] == "" and "x.tar" in record["error"]


# --- lists, folders and tables -------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    return folder


SEEN = [seen(jpeg(number)) for number in range(5)]


def test_list_is_cut_into_lines(photos: Path, tmp_path: Path) -> None:
    lines = ["photos/0.jpg\r\n", "\n", "photos/1.jpg\n", f"{photos}/2.jpg\n", f"file://{photos}/3.jpg\n"]
    (tmp_path / "all.txt").write_text("".join(lines) + "photos/missing.jpg")
    shards = planned([tmp_path / "all.txt"], tmp_path / "out", size=2)
    assert [(shard.name, shard.start, shard.count) for shard in shards] == [
        ("all-00000", 0, 2),
        ("all-00001", 2, 2),
        ("all-00002", 4, 1),
    ]
    records = captioned(shards)
    assert captions(records) == [*SEEN[:4], None]
    assert records[0]["key"] == "photos/0.jpg" and records[0]["place"] == f"{photos}/0.jpg"


def test_list_that_was_changed_is_told(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("photos/0.jpg\nphotos/1.jpg\n")
    shards = planned([tmp_path / "all.txt"], tmp_path / "out")
    (tmp_path / "all.txt").write_text("photos/1.jpg\nphotos/0.jpg\n")
    (record,) = captioned(shards)
    assert "was changed" in record["error"]


def test_folders_and_photos_keep_their_place_between_tars(photos: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        make_tar(tmp_path / f"{name}.tar", [(f"{name}.jpg", jpeg(9))])
    typed = [tmp_path / "x.tar", photos, tmp_path / "y.tar", photos / "4.jpg"]
    shards = planned(typed, tmp_path / "out", size=3)
    assert [shard.kind for shard in shards] == ["tar", "list", "list", "tar", "list"]
    assert len({shard.name for shard in shards}) == 5
    assert captions(captioned(shards)) == [seen(jpeg(9)), *SEEN, seen(jpeg(9)), SEEN[4]]


def test_table_of_bytes_or_paths_in_any_row_groups(photos: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is missing: pip install 'captioner[ray]'")
    from pyarrow import parquet

    held = [jpeg(0), jpeg(1), None, jpeg(3), jpeg(4)]
    structs = [{"bytes": None, "path": f"photos/{n}.jpg"} for n in range(5)]
    parquet.write_table(
        pa.table({"id": list("abcde"), "image": held}), tmp_path / "b.parquet", row_group_size=2
    )
    parquet.write_table(pa.table({"image": structs}), tmp_path / "p.parquet", row_group_size=2)
    shards = planned([tmp_path / "b.parquet", tmp_path / "p.parquet"], tmp_path / "out", size=3)
    assert [shard.count for shard in shards] == [3, 2, 3, 2]
    records = captioned(shards)
    assert [record["key"] for record in records] == [*"abcde", *"01234"]
    assert captions(records) == [*SEEN[:2], None, *SEEN[3:], *SEEN]
    with pytest.raises(CaptionerError, match=r"--column: .*p\.parquet has no column photo"):
        plan([str(tmp_path / "p.parquet")], 3, tmp_path / "out", Finder(), "photo")


def test_images_are_had_by_address(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is missing: pip install 'captioner[ray]'")
    memory = fsspec.filesystem("memory")
    for number in range(2):
        memory.pipe(f"/bulk/{number}.jpg", jpeg(number))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        header = tarfile.TarInfo("k.jpg")
        header.size = len(jpeg(2))
        tar.addfile(header, io.BytesIO(jpeg(2)))
    memory.pipe("/bulk/x.tar", stream.getvalue())
    typed = ["memory://bulk/", "memory://bulk/*.tar", "memory://bulk/none.jpg"]
    records = captioned(planned(typed, tmp_path / "out"))
    assert captions(records) == [*SEEN[:3], None]
    assert "none.jpg" in records[3]["error"]


# --- the records ---------------------------------------------------------------------------------------


def test_captions_are_the_predictor_s_own(photos: Path, tmp_path: Path) -> None:
    predictor = load("pretrained", "cpu")
    (photos / "2.jpg").write_bytes(b"no image")
    shards = planned([photos], tmp_path / "out")
    records = list(caption_shard(shards[0], predictor, replace(SETTINGS, workers=1)))
    paths = sorted(photos.iterdir())
    results = list(predictor.caption_many(paths, batch_size=2))
    assert [record["place"] for record in records] == [str(path) for path in paths]
    for record, result in zip(records, results):
        if isinstance(result, CaptionerError):
            assert record["error"] == str(result)
        else:
            assert (record["caption"], record["words"]) == (result.text, list(result.words))
            assert record["log_prob"] == pytest.approx(result.log_prob, abs=1e-4)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_records_are_read_as_they_were_written(tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is missing: pip install 'captioner[ray]'")
    records = [
        {"key": "ä", "place": "/x/ä.jpg", "caption": "a “dog”", "words": ["a", "“dog”"], "log_prob": -1.5},
        {"key": "b", "place": "/x/b.jpg", "error": "b: is empty"},
        {"key": "c", "place": "/x/c.jpg", "caption": "", "words": [], "log_prob": -0.25},
    ]
    path = tmp_path / f"x.{ending}"
    assert write_records(path, records) == 3
    assert list(read_records(path)) == records


def test_positions_choose_images(tmp_path: Path) -> None:
    make_tars(tmp_path, tars=1)
    (shard,) = planned([tmp_path / "00000.tar"], tmp_path / "out")
    chosen = list(caption_shard(shard, StubPredictor(), SETTINGS, [1, 3]))
    assert captions(chosen) == [seen(jpeg(1)), seen(jpeg(3))]
