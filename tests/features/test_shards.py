"""A cache in shards reads like one array, is continued where it stopped, and notices changed photos."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import tiny
from test_cache import features, folder, make_encoder, photos, unusable
from tools.kill_anywhere import ended, forked

from captioner.data.photos.mosaics import mosaic_of
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.features import build, identity, manifest
from captioner.features.identity import key_of
from captioner.features.sharded import ShardedArray
from captioner.features.split import gather
from captioner.model.encoder import Encoder
from captioner.training.loop import train

__all__ = ["folder", "photos"]  # fixtures


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of two photos."""
    monkeypatch.setattr(manifest, "ROWS", 2)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four photos are many."""
    monkeypatch.setattr(identity, "LARGE", 4)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass of the encoder had."""
    passes: list[int] = []
    real = Encoder.trunk

    def trunk(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
        passes.append(len(pixels))
        return real(encoder, pixels)

    monkeypatch.setattr(Encoder, "trunk", trunk)
    return passes


def replace_photo(record: Record, colour: str) -> None:
    """As an editor does: written elsewhere, and renamed."""
    assert isinstance(record.source, Path)
    written = record.source.with_name("written.png")
    Image.new("RGB", (40, 40), colour).save(written)
    written.rename(record.source)


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [0, 6, -1, np.int64(3), [5, 0, 5, 6], np.array([], int), range(2, 6), slice(2, 6), slice(5, None)],
    ids=str,
)
@pytest.mark.parametrize("turned", [False, True])
def test_shards_are_indexed_like_one_array(index: object, turned: bool) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (7, 3, 2, 4), np.uint8)
    shards = ShardedArray(lambda n: whole[3 * n : 3 * n + 3], 3, whole.shape, whole.dtype)
    one, other = (whole[..., ::-1], shards[..., ::-1]) if turned else (whole, shards)
    assert (len(other), other.shape, other.dtype) == (len(one), one.shape, one.dtype)
    one, other = one[index], other[index]
    assert other.shape == one.shape and np.array_equal(other, one)
    if isinstance(index, slice):
        assert np.array_equal(other[[1, 0]], one[[1, 0]]) and torch.equal(
            gather(other, [1]), gather(one, [1])
        )


def test_rows_that_are_not_there_are_refused() -> None:
    shards = ShardedArray(lambda n: np.zeros((2, 3)), 2, (4, 3), np.dtype(float))
    for index in (4, -5, [0, 4], slice(None, None, 2), np.array([True] * 4)):
        with pytest.raises(IndexError):
            shards[index]


@pytest.mark.usefixtures("pairs")
def test_training_reads_shards_as_it_reads_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(name: str) -> bytes:
        train(tiny.config(tmp_path / name, flip=0.5), tmp_path / name / "run", report=tiny.silent)
        return (tmp_path / name / "run" / "model.safetensors").read_bytes()

    several = weights("several")
    assert len(list((tmp_path / "several").glob("cache/*/*-of-00008.npy"))) == 8
    monkeypatch.setattr(manifest, "ROWS", 2000)
    assert weights("one") == several


@pytest.mark.usefixtures("pairs")
def test_damaged_shard_is_told(photos: list[Record], folder: Path) -> None:
    features(make_encoder(), photos, folder)
    (last,) = folder.glob("*/00002-of-00003.npy")
    np.save(last, np.zeros((1, 2)))
    with pytest.raises(CaptionerError, match=r"^run\.cache: .* is damaged \(00002-.*\); delete it$"):
        features(make_encoder(), photos, folder)[[5]]


def test_cache_of_before_is_still_read(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make_encoder()
    key, old = key_of(encoder, Preprocess(32, "crop"), photos), np.arange(12).reshape(6, 2)
    (folder / key).mkdir(parents=True)
    np.save(folder / key / build.WHOLE, old)
    monkeypatch.setattr(Encoder, "trunk", unusable)
    assert np.array_equal(features(encoder, photos, folder), old)


# --- building -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize("killed", [False, True])
def test_stopped_build_is_continued(
    photos: list[Record], folder: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    whole = np.array(features(make_encoder(), photos, folder / "other"))
    counted = Encoder.trunk

    def trunk(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
        if sum(runs) == 10:  # six of the other, and four of this one
            if killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt
        return counted(encoder, pixels)

    monkeypatch.setattr(Encoder, "trunk", trunk)
    if killed:
        assert ended(forked(lambda: features(make_encoder(), photos, folder))) == -signal.SIGKILL
    else:
        with pytest.raises(KeyboardInterrupt):
            features(make_encoder(), photos, folder)
    names = sorted(path.name for path in folder.glob("*/0*-of-*"))
    assert names == ["00000-of-00003.npy", "00001-of-00003.npy"]
    monkeypatch.setattr(Encoder, "trunk", counted)
    runs.clear()
    assert np.array_equal(features(make_encoder(), photos, folder), whole) and runs == [2]
    assert not list(folder.glob("*/.*"))


@pytest.mark.usefixtures("pairs")
def test_lost_shard_alone_is_encoded_anew(photos: list[Record], folder: Path, runs: list[int]) -> None:
    whole = np.array(features(make_encoder(), photos, folder))
    next(folder.glob("*/00001-*")).unlink()
    runs.clear()
    assert np.array_equal(features(make_encoder(), photos, folder), whole) and sum(runs) == 2


# --- many photos ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("pairs", "large")
def test_of_many_photos_a_sample_is_looked_at(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, looked = make_encoder(), []
    first = np.array(features(encoder, photos, folder))
    real = identity._look
    monkeypatch.setattr(identity, "SAMPLE", 2)
    monkeypatch.setattr(identity, "_look", lambda path: looked.append(path) or real(path))
    monkeypatch.setattr(Encoder, "trunk", unusable)
    seen = set()
    for _ in range(20):
        assert np.array_equal(features(encoder, photos, folder), first)
        assert len(looked) == 2
        seen |= set(looked)
        looked.clear()
    assert len(seen) > 2  # others in every start


@pytest.mark.usefixtures("pairs", "large")
@pytest.mark.parametrize("by", ["sample", "folder"])
def test_of_many_photos_those_that_changed_are_encoded_anew(
    photos: list[Record], folder: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    encoder = make_encoder()
    first = np.array(features(encoder, photos, folder))
    runs.clear()
    if by == "sample":
        Image.new("RGB", (40, 40), "red").save(photos[2].source)  # type: ignore[arg-type]
    else:
        monkeypatch.setattr(identity, "SAMPLE", 0)
        replace_photo(photos[2], "red")
    again = np.array(features(encoder, photos, folder))
    assert [not np.array_equal(a, b) for a, b in zip(first, again)] == [n == 2 for n in range(6)]
    assert sum(runs) == 2
    features(encoder, photos, folder)
    assert sum(runs) == 2 and len(list(folder.iterdir())) == 1


@pytest.mark.usefixtures("pairs", "large")
def test_folder_that_changed_beside_its_photos_costs_one_look(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make_encoder()
    features(encoder, photos, folder)
    (photos[0].source.parent / "notes.txt").write_text("new")  # type: ignore[union-attr]
    monkeypatch.setattr(Encoder, "trunk", unusable)
    features(encoder, photos, folder)
    monkeypatch.setattr(build.Build, "complete", unusable)
    features(encoder, photos, folder)


@pytest.mark.usefixtures("large")
def test_many_photos_in_another_order_are_another_cache(photos: list[Record], folder: Path) -> None:
    first = features(make_encoder(), photos, folder)
    assert np.array_equal(features(make_encoder(), photos[::-1], folder), first[::-1])
    mirrored = [Record(r.image_id, r.source, r.captions, mirrored=True) for r in photos]
    assert not np.array_equal(features(make_encoder(), mirrored, folder), first)


@pytest.mark.parametrize("many", [False, True])
def test_mosaics_are_those_of_their_photos(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """Found again by another process, and encoded anew when a photo has changed."""
    monkeypatch.setattr(identity, "LARGE", 1 if many else 9)
    monkeypatch.setattr(manifest, "ROWS", 1)
    preprocess = Preprocess(32, "crop")
    mosaics = [mosaic_of(four, preprocess) for four in (photos[:4], photos[2:])]
    first = np.array(features(make_encoder(), mosaics, folder))
    again = [Record(r.image_id, partial(r.source.func, *r.source.args), ()) for r in mosaics]  # type: ignore[union-attr]
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "trunk", unusable)
        assert np.array_equal(features(make_encoder(), again, folder), first)
    replace_photo(photos[0], "red")
    changed = features(make_encoder(), mosaics, folder)
    assert [not np.array_equal(a, b) for a, b in zip(changed, first)] == [True, False]


def test_mosaics_of_drawn_images_have_the_same_key_in_every_process() -> None:
    records = tiny.records()
    key = identity._name(mosaic_of(records[:4], Preprocess(32, "crop")).source, str)
    assert " at 0x" not in str(key) and str(key) != str(
        identity._name(mosaic_of(records[1:5], Preprocess(32, "crop")).source, str)
    )


class Listed(Sequence[Record]):
    """Records that know a digest of their images."""

    def __init__(self, records: list[Record], digest: str) -> None:
        self.records, self.digest, self.read = records, digest, 0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: object) -> object:  # type: ignore[override]
        self.read += 1
        return self.records[index]  # type: ignore[index]

    def __iter__(self) -> Iterator[Record]:
        raise AssertionError("all records were read")


@pytest.mark.usefixtures("pairs", "large")
def test_records_with_a_digest_are_not_read_to_be_known(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "SAMPLE", 1)
    listed = Listed(photos, "one")
    with monkeypatch.context() as patch:
        patch.setattr(Listed, "__iter__", lambda self: iter(photos))
        first = np.array(features(make_encoder(), listed, folder))  # type: ignore[arg-type]
    monkeypatch.setattr(Encoder, "trunk", unusable)
    listed.read = 0
    assert np.array_equal(features(make_encoder(), listed, folder), first)  # type: ignore[arg-type]
    assert listed.read <= 2  # the first, which says whether images are drawn, and the sample
    preprocess = Preprocess(32, "crop")
    one, two = (key_of(make_encoder(), preprocess, Listed(photos, digest)) for digest in ("one", "two"))
    assert one != two
