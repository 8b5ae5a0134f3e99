"""Mirrored and cropped images, averaged weights: what they are, and that such a run goes on to the bit."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import tiny

from captioner.checkpoint.file import load_checkpoint
from captioner.config.model import EncoderConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record, mirror_of
from captioner.data.words import caption_words, encode_captions
from captioner.features.batches import epoch_batches, windows
from captioner.features.cache import cached_features
from captioner.features.captioned import CaptionedSplit
from captioner.features.split import Split
from captioner.model.captioner import build_model
from captioner.model.encoder import build_encoder
from captioner.training.loop import train
from captioner.training.moving_average import MovingAverage
from captioner.training.run_folder import load_resume_state
from captioner.training.setup import prepare
from captioner.vocabulary import Vocabulary

CPU = torch.device("cpu")


def test_mirrored_captions_swap_left_and_right_alone() -> None:
    vocabulary = Vocabulary(["a", "left", "of", "right", "dog"])
    photo = Record(0, Path("0"), ("A dog left of a dog, right of a cat.", "A dog."))
    (turned,) = encode_captions([mirror_of(photo)], vocabulary, 50)
    said = [vocabulary.decode(caption) for caption in turned]
    assert said == [["a", "dog", "right", "of", "a", "dog", "left", "of", "a", "<unk>"], ["a", "dog"]]
    words = caption_words(mirror_of(photo), "word")
    assert words == [["a", "dog", "right", "of", "a", "dog", "left", "of", "a", "cat"], ["a", "dog"]]
    assert caption_words(mirror_of(mirror_of(photo)), "word") == caption_words(photo, "word")


def test_a_vocabulary_with_one_side_only_is_left_alone() -> None:
    vocabulary = Vocabulary(["left", "dog"])
    photo = Record(0, Path("0"), ("left dog right",))
    plain, turned = encode_captions([photo, mirror_of(photo)], vocabulary, 50)
    assert plain == turned


@pytest.mark.parametrize("fine_tune", [True, "stage2"])
def test_mirrored_cache_holds_what_the_encoder_makes_of_mirrored_pixels(tmp_path: Path, fine_tune) -> None:
    encoder = build_encoder(
        EncoderConfig("small", None, 32, mean=[0.5] * 3, std=[0.5] * 3, fine_tune=fine_tune)
    )
    encoder.eval()
    records, preprocess = tiny.records(), Preprocess(32, "crop")
    plain, turned = (
        cached_features(encoder, preprocess, seen, tmp_path, CPU, progress=False)
        for seen in (records, list(map(mirror_of, records)))
    )
    for i, record in enumerate(records):
        pixels = np.ascontiguousarray(np.asarray(record.source())[:, ::-1].transpose(2, 0, 1))
        expected = encoder.trunk(torch.from_numpy(pixels)[None])[0]
        np.testing.assert_allclose(turned[i], expected.numpy(), atol=2e-3)
        assert not np.array_equal(turned[i], plain[i])


def test_mirrored_pixels_are_read_backwards_rather_than_stored_too(tmp_path: Path) -> None:
    turned = prepare(tiny.config(tmp_path, flip=0.5), CPU).train.mirror_images
    (batch,) = turned.batches(len(turned))
    for record, pixels in zip(turned.records, batch, strict=True):
        expected = np.asarray(record.source().transpose(Image.Transpose.FLIP_LEFT_RIGHT)).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, expected)
    assert len(list((tmp_path / "cache").iterdir())) == 2  # train and val


def test_an_epoch_mixes_mirrored_images_with_their_own_captions() -> None:
    records = tiny.records("train")
    vocabulary = Vocabulary.build((c for r in records for c in r.captions), "word", 1)
    count = len(records)
    plain = Split(records, np.arange(count, dtype=np.uint8)[:, None])
    turned = Split(list(map(mirror_of, records)), np.arange(100, 100 + count, dtype=np.uint8)[:, None])
    recognizable = [[[9, 2]] for _ in records]
    split = CaptionedSplit(plain, encode_captions(records, vocabulary, 50) + recognizable, turned)

    def seen(flip: float, epoch: int = 0, skip: int = 0):
        found = {}
        for features, batch, images, *_ in epoch_batches(split, 4, 0, epoch, skip=skip, flip=flip):
            for place, image in enumerate(images):
                value = int(features[place])
                assert image == value % 100 + count * (value >= 100)
                words = batch.words[batch.owner == place]
                assert (len(words) == 1 and words[0, 0] == 9) == (value >= 100)
                found[image % count] = value >= 100
        return found

    assert not any(seen(0.0).values())
    assert all(seen(1.0).values())
    share = np.mean([list(seen(0.5, epoch).values()) for epoch in range(20)])
    assert 0.35 < share < 0.65
    whole, rest = seen(0.5), seen(0.5, skip=4)
    assert rest == {image: whole[image] for image in rest} and len(rest) == count - 4


def test_windows_are_parts_of_their_own_maps_of_every_size_and_place_allowed() -> None:
    maps = torch.arange(3 * 2 * 5 * 4.0).view(3, 2, 5, 4)
    sizes, corners = set(), set()
    for seed in range(300):
        cut = windows(maps, 0.6, random.Random(seed))
        height, width = cut.shape[2:]
        sizes.add((height, width))
        for image, part in zip(maps, cut, strict=True):
            y, x = divmod(int(part[0, 0, 0]) % 20, 4)
            corners.add((y, x))
            assert torch.equal(part, image[:, y : y + height, x : x + width])
    assert sizes == {(height, width) for height in (3, 4, 5) for width in (3, 4)}
    assert corners == {(y, x) for y in range(3) for x in range(2)}


def test_an_interrupted_epoch_goes_on_with_the_windows_it_would_have_had() -> None:
    records = tiny.records("train")
    vocabulary = Vocabulary.build((c for r in records for c in r.captions), "word", 1)
    photos = Split(records, np.random.default_rng(0).random((len(records), 1, 9, 9)))
    split = CaptionedSplit.build(photos, vocabulary, 50)

    def seen(epoch: int, skip: int = 0) -> list[torch.Tensor]:
        return [batch.features for batch in epoch_batches(split, 4, 0, epoch, skip=skip, crop=0.5)]

    whole, rest = seen(0), seen(0, skip=4)
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], rest, strict=True))
    assert len({part.shape[2:] for part in whole}) > 1
    assert [part.shape for part in seen(1)] != [part.shape for part in whole]


def test_average_is_the_exponential_one_of_the_weights_met(tmp_path: Path) -> None:
    model = build_model(tiny.config(tmp_path), 12)
    average, weight = MovingAverage(model, 0.5), model.decoder.word_output.weight
    expected = None
    for met in range(5):
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        average.update_parameters(model)
        keep = min(0.5, (1 + met) / (10 + met))
        expected = weight.clone() if met == 0 else keep * expected + (1 - keep) * weight
    torch.testing.assert_close(average.module.decoder.word_output.weight, expected)


def test_a_run_with_all_is_kept_averaged_and_goes_on_to_the_bit(tmp_path: Path) -> None:
    options = {"epochs": 2, "flip": 0.5, "crop": 0.5, "average": 0.9}
    train(tiny.config(tmp_path, **options), tmp_path / "whole", report=tiny.silent)

    def stop(line: str) -> None:
        if line.startswith("epoch 1/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny.config(tmp_path, **options), tmp_path / "parts", report=stop)
    train(tiny.config(tmp_path, **options), tmp_path / "parts", resume=True, report=tiny.silent)
    one, other = (load_resume_state(tmp_path / name / "resume.pt") for name in ("whole", "parts"))
    for part in ("model", "average"):
        assert all(torch.equal(one[part][key], other[part][key]) for key in one[part])
    kept = load_checkpoint(tmp_path / "whole").model.state_dict()
    name = "decoder.word_output.weight"
    assert not torch.equal(kept[name], one["model"][name])
    assert one["progress"]["best"]["epoch"] != 2 or torch.equal(kept[name], one["average"][f"module.{name}"])
