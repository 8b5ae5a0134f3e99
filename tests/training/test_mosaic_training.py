"""Mosaics to train on: four photos in one, their captions, and the guidance of the attention to their own."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.config.training import SelfCriticalConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record, mirror_of
from captioner.features.batches import epoch_batches
from captioner.features.captioned import CaptionedSplit
from captioner.features.encode import pixels_of
from captioner.features.mosaics import Mosaics, mosaic_images
from captioner.features.split import Split
from captioner.model.captioner import build_model
from captioner.training.loss import caption_loss, guided
from captioner.training.setup import prepare
from captioner.training.state import build_state
from captioner.vocabulary import Vocabulary
from tests.support import tiny

CPU = torch.device("cpu")
SIZE = 6  # photos per batch: two mosaics


def pixels(records: list[Record]) -> Split:
    preprocess = Preprocess(16, "squash")
    return Split(records, torch.stack([pixels_of(preprocess, record) for record in records]).numpy())


def split_with_mosaics(flip: bool = False) -> CaptionedSplit:
    records = tiny.records("train")
    vocabulary = Vocabulary.build((c for r in records for c in r.captions), "word", 1)
    photos = Split(records, np.zeros((len(records), 1), np.float32))
    mirror_images = Split(list(map(mirror_of, records)), photos.features) if flip else None
    mosaics = Mosaics.of(pixels(mosaic_images(records, Preprocess(32, "squash"), flip)), len(records), flip)
    return CaptionedSplit.build(photos, vocabulary, 50, mirror_images, mosaics)


def test_each_quadrant_of_a_mosaic_shows_the_photo_whose_captions_it_has() -> None:
    split = split_with_mosaics(flip=True)
    assert split.mosaics is not None
    records = [*split.photos.records, *split.mirror_images.records]
    alone = pixels(records).features.astype(float)
    held = [0] * len(records)
    for sheet, four in zip(
        pixels(list(split.mosaics.split.records)).features.astype(float), split.mosaics.members
    ):
        for quadrant, number in enumerate(four):
            held[number] += 1
            y, x = (8 * part for part in divmod(quadrant, 2))
            part = sheet[:, y : y + 8, x : x + 8].mean((1, 2))
            distances = [np.abs(part - one.mean((1, 2))).sum() for one in alone]
            assert distances[number] <= min(distances) + 4.0
    photos = len(split.photos)
    assert max(held) <= 2 and min(held[:photos]) >= 1 and sum(held) == 4 * len(split.mosaics.members)


def test_every_caption_of_a_batch_of_mosaics_is_told_the_quadrant_of_its_photo() -> None:
    split = split_with_mosaics()
    assert split.mosaics is not None
    place = {features.tobytes(): i for i, features in enumerate(split.mosaics.split.features)}
    for features, captions, *_ in epoch_batches(split, SIZE, 0, 0, mosaics=1.0):
        assert captions.quadrant is not None and 1 <= len(features) == captions.images <= 2
        shown = [split.mosaics.members[place[one.numpy().tobytes()]] for one in features]
        said = []
        for row, owner, quadrant in zip(
            captions.words.tolist(), captions.owner, captions.quadrant, strict=True
        ):
            words, photo = [word for word in row if word], shown[owner][quadrant]
            assert words in split.captions[photo]
            said.append((photo, words))
        assert sorted(said) == sorted(
            (n, words) for four in shown for n in four for words in split.captions[n]
        )


def test_the_share_of_mosaics_is_the_one_asked_for() -> None:
    split = split_with_mosaics()
    kinds = [
        captions.quadrant is not None
        for epoch in range(60)
        for _, captions, *_ in epoch_batches(split, SIZE, 0, epoch, mosaics=0.3)
    ]
    assert 0.15 < np.mean(kinds) < 0.45
    assert not any(c.quadrant is not None for _, c, *_ in epoch_batches(split, SIZE, 0, 0, mosaics=0.0))


def test_an_interrupted_epoch_goes_on_with_the_mosaics_it_would_have_had() -> None:
    split = split_with_mosaics()
    whole = list(epoch_batches(split, SIZE, 0, 1, 1, mosaics=0.5))
    rest = list(epoch_batches(split, SIZE, 0, 1, 1, mosaics=0.5, skip=SIZE))
    assert len(rest) == len(whole) - 1
    for (a, one, *first), (b, other, *second) in zip(whole[1:], rest, strict=True):
        assert first == second and torch.equal(a, b) and torch.equal(one.words, other.words)


def test_guidance_is_the_log_of_the_mass_on_the_own_photo_word_by_word(tmp_path: Path) -> None:
    config = tiny.config(tmp_path)
    model = build_model(config, 60).double().eval()
    split = split_with_mosaics()
    captions = next(iter(epoch_batches(split, SIZE, 0, 0, mosaics=1.0)))[1]
    annotations = torch.randn(captions.images, 16, model.encoder.features, dtype=torch.float64)
    unrolled = model.decoder(annotations, captions)
    plain = caption_loss(model.decoder, unrolled, config.attention)
    expected, packed = 0.0, iter(unrolled.steps.alpha.detach())
    for alive in captions.alive:
        for caption in range(alive):
            grid = next(packed).view(2, 2, 2, 2)  # half, row within, half, column within
            y, x = divmod(int(captions.quadrant[caption]), 2)
            expected -= math.log(float(grid[y, :, x, :].sum()))
    added = guided(plain, unrolled, 0.25).total - plain.total
    torch.testing.assert_close(float(added.detach()), 0.25 * expected, rtol=1e-9, atol=0)
    assert guided(plain, unrolled, 0.0).total is plain.total


def test_captions_of_whole_photos_are_not_guided(tmp_path: Path) -> None:
    config = tiny.config(tmp_path)
    model = build_model(config, 60).double().eval()
    captions = next(iter(epoch_batches(split_with_mosaics(), SIZE, 0, 0)))[1]
    annotations = torch.randn(captions.images, 16, model.encoder.features, dtype=torch.float64)
    unrolled = model.decoder(annotations, captions)
    plain = caption_loss(model.decoder, unrolled, config.attention)
    assert captions.quadrant is None and guided(plain, unrolled, 0.25).total is plain.total


def test_the_second_phase_keeps_the_likelihood_of_mosaics(tmp_path: Path) -> None:
    """Their captions are guided to their own photo; what is sampled belongs to none."""
    config = replace(tiny.config(tmp_path, mosaics=1.0, mosaic_guidance=0.25), phase=SelfCriticalConfig())
    setup = prepare(config, CPU)
    state = build_state(config, setup, CPU)
    batch = next(iter(epoch_batches(setup.train, 8, 0, 0, mosaics=1.0)))
    state.model.eval()
    unrolled = state.model(batch.features, batch.captions)
    plain = caption_loss(state.model.decoder, unrolled, config.attention, config.training.label_smoothing)
    loss = state.objective(batch)
    torch.testing.assert_close(loss.total, guided(plain, unrolled, 0.25).total)
    whole = next(iter(epoch_batches(setup.train, 8, 0, 0)))
    assert loss.reward is None and state.objective(whole).reward is not None
    assert state.objective.captions(batch) == len(batch.captions)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_shares_of_all_ranks_are_the_mosaics_of_one_process(ranks: int) -> None:
    split = split_with_mosaics()
    parts = [
        epoch_batches(split, SIZE, 0, 0, 2, mosaics=1.0, rank=rank, ranks=ranks) for rank in range(ranks)
    ]
    for whole, *shares in zip(epoch_batches(split, SIZE, 0, 0, 2, mosaics=1.0), *parts, strict=True):
        own = [share for share in shares if not share.stand_in]
        assert torch.equal(whole.features, torch.cat([share.features for share in own]))
        assert sum(len(share.captions) for share in own) == whole.all_captions == len(whole.captions)
        assert {share.all_captions for share in shares} == {len(whole.captions)}
