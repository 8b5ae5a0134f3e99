"""Packed captions against a batch that is written out by hand."""

from __future__ import annotations

import pytest
import torch

from captioner.errors import CaptionerError
from captioner.model.rows import Captions
from captioner.vocabulary import END, PAD, START


@pytest.fixture
def captions():
    """Image 0 has two captions, image 1 none, image 2 one."""
    return Captions.build([[[7, END], [4, 5, END]], [], [[6, 8, 9, END]]])


def test_captions_stand_longest_first_and_padded(captions):
    assert captions.words.tolist() == [[6, 8, 9, END], [4, 5, END, PAD], [7, END, PAD, PAD]]
    assert captions.owner.tolist() == [2, 0, 0]
    assert captions.images == 3
    assert len(captions) == 3


def test_captions_that_ended_leave_the_step(captions):
    assert list(captions.alive) == [3, 3, 2, 1]
    assert list(captions.widths) == [2, 2, 1, 1]


def test_pack_goes_step_by_step_without_padding(captions):
    assert captions.pack(captions.words).tolist() == [6, 4, 7, 8, 5, END, 9, END, END]


def test_pack_keeps_further_dimensions(captions):
    padded = torch.arange(3 * 4 * 2).view(3, 4, 2)
    wanted = [[0, 1], [8, 9], [16, 17], [2, 3], [10, 11], [18, 19], [4, 5], [12, 13], [6, 7]]
    assert captions.pack(padded).tolist() == wanted


def test_previous_word_of_the_first_is_start(captions):
    assert captions.previous().tolist() == [START, START, START, 6, 4, 7, 8, 5, 9]


def test_total_sums_each_captions_words(captions):
    packed = torch.tensor([1.0, 10.0, 100.0, 2.0, 20.0, 200.0, 4.0, 40.0, 8.0])
    assert captions.total(packed).tolist() == [15.0, 70.0, 300.0]


def test_images_stand_by_their_longest_captions(captions):
    assert captions.order.tolist() == [2, 0, 1]
    assert captions.order[captions.place].tolist() == captions.owner.tolist()
    assert list(captions.live) == [2, 2, 2, 1]


def test_rows_place_each_live_caption_with_its_image(captions):
    rows = captions.rows(0)
    grid = rows.spread(torch.tensor([[1.0], [2.0], [3.0]]))
    assert grid.squeeze(-1).tolist() == [[1.0, 0.0], [2.0, 3.0]]  # images 2 and 0; the other is not looked at
    assert rows.collect(grid).squeeze(-1).tolist() == [1.0, 2.0, 3.0]


def test_rows_shrink_with_the_captions_that_are_left(captions):
    rows = captions.rows(3)
    assert rows.owner.tolist() == [0]
    assert (rows.images, rows.width) == (2, 2)  # one would do, but would be compiled for anew


@pytest.mark.parametrize("images", [[], [[], []]])
def test_batch_without_captions_is_refused(images):
    with pytest.raises(CaptionerError, match="without a single caption"):
        Captions.build(images)
