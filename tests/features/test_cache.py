"""The annotation cache: what it serves is always what the encoder would say now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import tiny
from tools.kill_anywhere import ended, forked

from captioner.config.model import EncoderConfig
from captioner.data.photos import formats
from captioner.data.photos.image import load_image
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.errors import CaptionerError
from captioner.features import cache, encode
from captioner.features.cache import cached_features
from captioner.model.encoder import Encoder, build_encoder
from captioner.system.locks import owned

CPU = torch.device("cpu")


def make_encoder(fine_tune: bool | str = "stage2", mean: float = 0.5) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(EncoderConfig("small", None, 32, "crop", [mean] * 3, [0.25] * 3, fine_tune))


@pytest.fixture
def photos(tmp_path: Path) -> list[Record]:
    """Six wide photos of noise."""
    random, found = np.random.default_rng(0), []
    for i in range(6):
        path = tmp_path / f"{i}.png"
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
        found.append(Record(i, path, ("a caption",)))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def features(encoder: Encoder, records: list[Record], folder: Path, **options: Any) -> np.ndarray:
    options = {"resize": "crop", "workers": 0, **options}
    preprocess = Preprocess(32, options["resize"])
    return cached_features(encoder, preprocess, records, folder, CPU, options["workers"], progress=False)


def caches(folder: Path) -> int:
    """How many caches there are; anything else in the folder counts too."""
    return len(list(folder.iterdir()))


def unusable(*_: object) -> None:
    raise AssertionError("the encoder ran")


# --- what is served -------------------------------------------------------------------------------


@pytest.mark.parametrize("fine_tune", [False, "stage2", "stage1"], ids=str)
def test_features_are_the_trunks_within_half_precision(
    photos: list[Record], folder: Path, fine_tune: bool | str
) -> None:
    encoder = make_encoder(fine_tune)
    served = features(encoder, photos, folder)
    assert served.dtype == np.float16
    for row, record in zip(served, photos):
        square = Preprocess(32, "crop").frame(load_image(record.source))
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)
        expected = encoder.trunk(pixels[None])[0].numpy()
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-3)


def test_without_frozen_stages_the_pixels_themselves_are_served(photos: list[Record], folder: Path) -> None:
    served = features(make_encoder(True), photos, folder)
    assert served.dtype == np.uint8
    for row, record in zip(served, photos):
        square = Preprocess(32, "crop").frame(load_image(record.source))
        assert np.array_equal(row.transpose(1, 2, 0), np.array(square))


def test_features_lie_on_disk_and_cannot_be_changed(photos: list[Record], folder: Path) -> None:
    served = features(make_encoder(), photos, folder)
    assert isinstance(served, np.memmap) and not served.flags.writeable


def test_many_batches_are_served_as_one(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.array(features(make_encoder(), photos, folder))
    monkeypatch.setattr(encode, "BATCH", 4)  # the last batch is short
    np.testing.assert_allclose(features(make_encoder(), photos, folder / "other"), whole, atol=1e-3)


def test_passes_side_by_side_serve_what_one_after_another_does(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.array(features(make_encoder(), photos, folder, workers=0))
    encoder, passes, together = make_encoder(), set(), threading.Barrier(3, timeout=30)
    real = encoder.trunk

    def trunk(pixels: torch.Tensor) -> torch.Tensor:
        if threading.get_ident() not in passes:
            passes.add(threading.get_ident())
            together.wait()  # breaks unless three passes run at once
        return real(pixels)

    cores = torch.get_num_threads()
    monkeypatch.setattr(encoder, "trunk", trunk)
    monkeypatch.setattr(encode, "SMALL_BATCH", 1)
    torch.set_num_threads(3)
    try:
        served = features(encoder, photos, folder / "other", workers=1)
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(cores)
    assert len(passes) == 3 and threading.get_ident() not in passes
    np.testing.assert_allclose(served, whole, atol=1e-3)


def test_training_does_not_feel_that_a_cache_is_built(photos: list[Record], folder: Path) -> None:
    encoder = make_encoder()
    before = torch.get_rng_state()
    features(encoder, photos, folder)
    assert torch.equal(torch.get_rng_state(), before)


# --- when it is served ----------------------------------------------------------------------------


def test_encoder_does_not_run_again(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(features(make_encoder(), photos, folder))
    monkeypatch.setattr(Encoder, "trunk", unusable)
    assert np.array_equal(features(make_encoder(), photos, folder), first)


def test_trained_stages_do_not_matter(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make_encoder("stage2")
    first = np.array(features(encoder, photos, folder))
    torch.nn.init.zeros_(encoder.stages.stage3[0].weight)
    monkeypatch.setattr(Encoder, "trunk", unusable)
    assert np.array_equal(features(encoder, photos, folder), first)


def test_drawn_images_are_found_again_by_another_process(folder: Path) -> None:
    first = np.array(features(make_encoder(), tiny.records(), folder))
    program = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + '/features']\n"
        "import numpy as np\n"
        "from support import tiny\n"
        "from pathlib import Path\n"
        "from test_cache import Encoder, features, make_encoder, unusable\n"
        "Encoder.trunk = unusable\n"
        "print(features(make_encoder(), tiny.records(), Path(sys.argv[2])).astype(float).sum())\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parents[1]), str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == first.astype(float).sum()


def test_changed_image_is_encoded_anew(photos: list[Record], folder: Path) -> None:
    encoder = make_encoder()
    first = np.array(features(encoder, photos, folder))
    Image.new("RGB", (40, 40), "red").save(photos[2].source)  # type: ignore[arg-type]
    changed = [not np.array_equal(a, b) for a, b in zip(features(encoder, photos, folder), first)]
    assert changed == [False, False, True, False, False, False]


def test_image_that_was_changed_in_secret_is_encoded_anew(photos: list[Record], folder: Path) -> None:
    """Another content of the same size, and the time of its change put back."""
    path, encoder = photos[2].source, make_encoder(True)
    assert isinstance(path, Path)
    Image.new("RGB", (32, 32), "red").save(path.with_suffix(".bmp"))
    records = [Record(0, path.with_suffix(".bmp"), ("a caption",))]
    first = np.array(features(encoder, records, folder))
    before = records[0].source.stat()  # type: ignore[union-attr]
    Image.new("RGB", (32, 32), "blue").save(path.with_suffix(".bmp"))
    os.utime(path.with_suffix(".bmp"), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.with_suffix(".bmp").stat().st_size == before.st_size
    assert not np.array_equal(features(encoder, records, folder), first)


def test_other_order_of_images_is_another_cache(photos: list[Record], folder: Path) -> None:
    first = features(make_encoder(), photos, folder)
    assert np.array_equal(features(make_encoder(), photos[::-1], folder), first[::-1])


def test_changed_weight_is_another_cache(photos: list[Record], folder: Path) -> None:
    encoder = make_encoder()
    first = features(encoder, photos, folder)
    with torch.no_grad():
        encoder.stages.stage0[1].weight[0, 0, 0, 0] += 1
    assert not np.array_equal(features(encoder, photos, folder), first)


def test_changed_statistics_are_another_cache(photos: list[Record], folder: Path) -> None:
    encoder = make_encoder()
    first = features(encoder, photos, folder)
    encoder.stages.stage0[2].running_mean += 1
    assert not np.array_equal(features(encoder, photos, folder), first)


def test_changed_normalization_is_another_cache(photos: list[Record], folder: Path) -> None:
    first = features(make_encoder(), photos, folder)
    assert not np.array_equal(features(make_encoder(mean=0.4), photos, folder), first)


def test_changed_resize_is_another_cache(photos: list[Record], folder: Path) -> None:
    first = features(make_encoder(), photos, folder)
    assert not np.array_equal(features(make_encoder(), photos, folder, resize="squash"), first)


def test_raised_version_of_decoding_is_another_cache_of_its_kind_alone(
    photos: list[Record], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, jpegs = make_encoder(), []
    for i, record in enumerate(photos):
        load_image(record.source).save(tmp_path / f"{i}.JPG")
        jpegs.append(replace(record, source=tmp_path / f"{i}.JPG"))
    for records in (photos, jpegs):
        features(encoder, records, folder)
    monkeypatch.setitem(formats.DECODING, "others", 99)
    features(encoder, photos, folder)
    assert caches(folder) == 3
    features(encoder, jpegs, folder)
    assert caches(folder) == 3


def test_more_frozen_stages_are_another_cache(photos: list[Record], folder: Path) -> None:
    first = features(make_encoder("stage1"), photos, folder)
    assert features(make_encoder("stage2"), photos, folder).shape != first.shape


# --- when building goes wrong ---------------------------------------------------------------------


@pytest.mark.parametrize("blow", [KeyboardInterrupt, OSError, MemoryError])
def test_interrupted_build_leaves_nothing(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch, blow: type[BaseException]
) -> None:
    encoder, calls = make_encoder(), iter(range(9))
    real = encoder.trunk

    def trunk(pixels: torch.Tensor) -> torch.Tensor:
        if next(calls) == 1:
            raise blow
        return real(pixels)

    monkeypatch.setattr(encode, "BATCH", 2)
    monkeypatch.setattr(encoder, "trunk", trunk)
    with pytest.raises((blow, CaptionerError)):
        features(encoder, photos, folder)
    assert caches(folder) == 0
    assert np.isfinite(features(encoder, photos, folder)).all()


def test_killed_build_is_done_again_and_leaves_nothing(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.array(features(make_encoder(), photos, folder.with_name("other")))
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "trunk", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        assert ended(forked(lambda: features(make_encoder(), photos, folder))) == -signal.SIGKILL
    assert len(list(folder.glob("*/.*.part"))) == 1
    assert np.array_equal(features(make_encoder(), photos, folder), whole)
    assert sorted(path.name for path in folder.glob("*/*")) == ["00000-of-00001.npy", "manifest.json"]


@pytest.mark.parametrize("shared", [False, True])
def test_what_a_killed_build_of_other_images_left_is_removed(
    photos: list[Record], folder: Path, shared: bool
) -> None:
    left, building = folder / "left" / ".features.npy.1.part", folder / "building" / ".features.npy.2.part"
    for path in (left, building):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    with owned(building.parent, shared=shared):  # by a process that is alive
        features(make_encoder(), photos, folder)
    assert building.exists() and not left.parent.exists()


def test_those_who_share_a_folder_keep_out_who_wants_it_alone(tmp_path: Path) -> None:
    shared = owned(tmp_path, shared=True)
    with shared as one, owned(tmp_path, shared=True) as other, owned(tmp_path) as alone:
        assert (one, other, alone) == (True, True, False)
    with owned(tmp_path) as alone, owned(tmp_path, shared=True) as one:
        assert (alone, one) == (True, False)


def test_two_builds_at_once_are_one(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, waiting = make_encoder(), threading.Event()
    expected = np.array(features(encoder, photos, folder / "alone"))
    real, built, found = Encoder.trunk, [], []

    def trunk(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
        built.append(waiting.wait(timeout=60))  # until the other one waits for this one
        return real(encoder, pixels)

    monkeypatch.setattr(Encoder, "trunk", trunk)
    monkeypatch.setattr(cache, "tell_waiting", waiting.set)
    build = lambda: found.append(np.array(features(encoder, photos, folder / "shared")))  # noqa: E731
    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [np.array_equal(served, expected) for served in found] == [True, True]
    assert built == [True] and caches(folder / "shared") == 1


def test_build_goes_on_when_the_one_it_waited_for_fails(
    photos: list[Record], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, waiting, outcomes = make_encoder(), threading.Event(), []
    real, first = Encoder.trunk, iter([True])

    def trunk(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
        if next(first, False):
            waiting.wait(timeout=60)
            raise MemoryError
        return real(encoder, pixels)

    def build() -> None:
        try:
            outcomes.append(len(features(encoder, photos, folder)))
        except MemoryError:
            outcomes.append(0)

    monkeypatch.setattr(Encoder, "trunk", trunk)
    monkeypatch.setattr(cache, "tell_waiting", waiting.set)
    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0, len(photos)] and caches(folder) == 1


def test_full_disk_is_told(photos: list[Record], folder: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(CaptionerError, match=r"^run\.cache: cannot write .*\(File too large\)$"):
            features(make_encoder(True), photos, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caches(folder) == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_image_is_told_in_one_line(photos: list[Record], folder: Path, workers: int) -> None:
    broken = photos[3].source
    assert isinstance(broken, Path)
    broken.write_bytes(b"no image")
    with pytest.raises(CaptionerError) as caught:
        features(make_encoder(), photos, folder, workers=workers)
    message = str(caught.value)
    assert message.startswith(f"{broken}: ") and "\n" not in message
    assert caches(folder) == 0


def test_folder_that_cannot_be_written_is_told(photos: list[Record], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CaptionerError, match=r"^run\.cache: .*file"):
        features(make_encoder(), photos, tmp_path / "file" / "cache")
