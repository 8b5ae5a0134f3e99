"""Grid pointing: the measure against made-up decoders whose maps are known, and what mosaics are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from captioner.config.search import SearchConfig
from captioner.data.photos.mosaics import QUADRANTS, draw_mosaics, mosaic_of
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.evaluation.grounding import grid_pointing as module
from captioner.evaluation.grounding.bands import EDGES
from captioner.evaluation.grounding.mosaics import (
    GridPointing,
    QuadrantWord,
    alone,
    quadrant_drops,
    quadrants,
    summarize_mosaics,
    telling_words,
)
from captioner.evaluation.grounding.subject import Subject
from captioner.visualize.trust import QUIET
from captioner.vocabulary import Vocabulary

IMAGES, SIDE, CELLS = 64, 16, 4  # CELLS a side
CORNERS = [0, CELLS - 1, CELLS * (CELLS - 1), CELLS * CELLS - 1]
Look = Callable[[int, int], int]  # of a mosaic's number and the quadrant its word is of: where the map stands


def plain_image(number: int) -> Record:
    """One colour, which the number of the image decides and its captions name; ``a thing`` is said of all."""
    colour = (4 * number, 0, 0)
    return Record(
        number, lambda: Image.new("RGB", (SIDE, SIDE), colour), (f"a thing {number}th", f"the {number}th")
    )


class Pixels:
    """An encoder whose annotations are the mean colours of the cells."""

    grid = (CELLS, CELLS)

    def folded(self) -> Pixels:
        return self

    def trunk(self, pixels: Tensor) -> Tensor:
        return pixels

    def tail(self, pixels: Tensor) -> Tensor:
        cells = torch.nn.functional.avg_pool2d(pixels.float(), SIDE // CELLS)
        return cells.flatten(2).transpose(1, 2)


def pointed(
    monkeypatch: pytest.MonkeyPatch, look: Look, images: int = IMAGES, alike: bool = True
) -> GridPointing | None:
    """What is measured of a decoder that names the images of the quadrants in turn and looks as told.

    The word that tells is the second of three; the others look there too if ``alike``, else everywhere.
    """
    records = [plain_image(number) for number in range(images)]
    vocabulary = Vocabulary(["a", "thing", *(f"{number}th" for number in range(images))])
    index = {word: i for i, word in enumerate(vocabulary.words)}
    region, seen = quadrants((CELLS, CELLS)).float(), [0]

    def search(decoder: Any, annotations: Tensor, options: SearchConfig) -> list[list[Any]]:
        red = annotations[:, CORNERS, 0].round().int() // 4  # seams are blurred
        said = []
        for i, of_quadrants in enumerate(red.tolist()):
            number = of_quadrants[(seen[0] + i) % 4]
            said.append([SimpleNamespace(words=(index["a"], index[f"{number}th"], index["thing"]))])
        return said

    def replay(decoder: Any, annotations: Tensor, captions: Sequence[Sequence[int]]) -> list[Any]:
        mosaics = range(seen[0], seen[0] + len(captions))
        seen[0] += len(captions)
        alpha = torch.stack([region[look(m, m % 4)] / region[0].sum() for m in mosaics])
        uniform = torch.full_like(alpha, 1 / alpha.shape[1])
        maps = [alpha if alike or place == 1 else uniform for place in range(3)]
        return [SimpleNamespace(step=SimpleNamespace(alpha=m), word=m[:, 0]) for m in maps]

    def drops(decoder: Any, at: Any, deleted: Tensor) -> Tensor:
        return (deleted * at.step.alpha[:, None]).sum(-1)  # deleting costs what was attended

    monkeypatch.setattr(module, "search", search)
    monkeypatch.setattr(module, "replay", replay)
    monkeypatch.setattr(module, "log_prob_drops", drops)
    model: Any = SimpleNamespace(encoder=Pixels(), decoder=None)
    split: Any = SimpleNamespace(records=records)
    subject = Subject(model, split, vocabulary, Preprocess(SIDE, "squash"), torch.device("cpu"))
    alone: Any = [SimpleNamespace(words=(index[f"{number}th"],)) for number in range(images)]
    return module.grid_pointing(subject, alone, 250, 0)


def test_maps_in_the_right_quadrant_score_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pointed(monkeypatch, lambda mosaic, quadrant: quadrant)
    assert found is not None
    assert (found.mosaics, found.words) == (IMAGES // 4, IMAGES // 4)  # neither "a" nor "thing" tells
    assert found.peak.model == found.mass.model == found.needed == 1.0
    assert found.peak.interval == found.mass.interval == (1.0, 1.0)
    assert (found.own, found.others, found.alone) == (1.0, 0.0, 1.0)
    assert found.mass.uniform == 0.25 and found.mass.position == pytest.approx(0.25)


def test_maps_that_know_only_a_position_score_what_chance_does(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pointed(monkeypatch, lambda mosaic, quadrant: 2)
    assert found is not None
    for share in (found.peak, found.mass):
        assert share.model == share.position == 0.25
        assert share.shuffled == pytest.approx(0.25)
        assert share.interval[0] < 0.25 < share.interval[1]
    assert found.needed == 0.25


def test_maps_of_the_wrong_quadrant_score_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pointed(monkeypatch, lambda mosaic, quadrant: (quadrant + 1) % 4)
    assert found is not None
    assert found.peak.model == found.mass.model == found.needed == found.own == 0.0
    assert found.others == pytest.approx(1 / 3)


def test_bands_are_of_words_whose_maps_are_about_as_far_from_the_mean_map() -> None:
    """Right if far, wrong if near; each band is what the words in it would be by themselves."""
    mass = torch.tensor([0.4, 0.2, 0.2, 0.2])
    distances = (0.0, 0.1, 0.149, 0.15, 0.19, 0.2, 0.9, math.nan)
    words = [
        QuadrantWord(number, 0 if far >= 0.2 else 3, mass, torch.zeros(4), far)
        for number, far in enumerate(distances)
    ]
    found = summarize_mosaics(words, (2, 2), len(words))
    assert EDGES[0] == QUIET
    assert [(band.low, band.high, band.words) for band in found.bands] == [
        (0.0, 0.15, 3),
        (0.15, 0.2, 2),
        (0.2, None, 2),
    ]
    assert [(band.peak, band.interval) for band in found.bands] == [
        (0.0, (0.0, 0.0)),
        (0.0, (0.0, 0.0)),
        (1.0, (1.0, 1.0)),
    ]
    assert [band.mass for band in found.bands] == pytest.approx([0.2, 0.2, 0.4])
    alone = summarize_mosaics(words[-1:], (2, 2), 1)
    assert [(band.words, band.peak, band.mass) for band in alone.bands] == [(0, None, None)] * 3


@pytest.mark.parametrize(("alike", "band"), [(True, 0), (False, 2)])
def test_a_map_is_compared_with_its_own_captions_mean(
    monkeypatch: pytest.MonkeyPatch, alike: bool, band: int
) -> None:
    """All three words of a caption look at its quadrant, or the telling one alone does."""
    found = pointed(monkeypatch, lambda mosaic, quadrant: quadrant, alike=alike)
    assert found is not None
    assert [b.words for b in found.bands] == [found.words if k == band else 0 for k in range(3)]


def test_fewer_than_four_images_make_no_mosaic(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pointed(monkeypatch, lambda mosaic, quadrant: 0, images=3) is None


# --- mosaics --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "most", "count"), [(1000, 250, 250), (1000, 30, 30), (7, 9, 1), (3, 9, 0)]
)
def test_no_image_is_in_two_mosaics(images: int, most: int, count: int) -> None:
    drawn = draw_mosaics(images, most, 0)
    shown = [image for four in drawn for image in four]
    assert len(drawn) == count and all(len(four) == 4 for four in drawn)
    assert len(set(shown)) == len(shown) and set(shown) <= set(range(images))
    assert drawn == draw_mosaics(images, most, 0)
    assert images < 100 or drawn != draw_mosaics(images, most, 1)


@pytest.mark.parametrize("side", [16, 17])
def test_each_image_fills_its_quadrant(side: int) -> None:
    preprocess = Preprocess(side, "crop")
    records = [
        Record(i, lambda i=i: Image.new("RGB", (40 + i, 90 - i), (60 * i, 0, 255)), ("x",))  # type: ignore[misc]
        for i in range(4)
    ]
    pixels = preprocess.pixels(preprocess.view(mosaic_of(records, preprocess).source).square)
    half = side // 2
    corners = [(0, 0), (0, side - half), (side - half, 0), (side - half, side - half)]
    for number, (top, left) in enumerate(corners):
        inner = pixels[:, top + 1 : top + half - 1, left + 1 : left + half - 1]
        assert inner[0].unique().tolist() == [60 * number] and inner[2].unique().tolist() == [255]


def test_telling_words_are_content_words_of_exactly_one() -> None:
    said = [("A dog runs, fast", "a brown dog"), ("a girl runs",), ("The girl with a kite",), ("boats",)]
    records = [Record(i, lambda: Image.new("RGB", (1, 1)), captions) for i, captions in enumerate(said)]
    words = ["a", "dog", "with", "girl", "runs", "fast", "the", "kite", "flies", "boats"]
    assert telling_words(words, records) == [(1, 0), (5, 0), (7, 2), (9, 3)]


def test_alone_is_the_share_of_telling_words_that_the_image_itself_can_have_given() -> None:
    said = [("A dog runs",), ("a girl runs",), ("a kite",), ("boats",)]
    four = [Record(i, lambda: Image.new("RGB", (1, 1)), captions) for i, captions in enumerate(said)]
    assert alone([four], [[["a", "dog"], ["a", "kite"], ["kite"], ["boats", "dog"]]]) == 3 / 5
    assert alone([four], [[["runs"], [], ["a"], ["flies"]]]) is None


def test_quadrants_share_the_cells_in_the_middle() -> None:
    region = quadrants((3, 3)).view(4, 3, 3)
    assert region[0].tolist() == [[1, 0.5, 0], [0.5, 0.25, 0], [0, 0, 0]]
    torch.testing.assert_close(region.sum(0), torch.ones(3, 3, dtype=torch.float64))


def test_cells_that_quadrants_share_are_never_deleted() -> None:
    deletions: list[Tensor] = []

    def drops(at: Any, deleted: Tensor) -> Tensor:
        deletions.append(deleted)
        return torch.zeros(2, 4)

    step: Any = SimpleNamespace(word=torch.zeros(2))
    assert quadrant_drops([step, step], (3, 3), drops).shape == (2, 2, 4)
    assert deletions[0].sum(-1).tolist() == [[1, 1, 1, 1]] * 2
    assert not deletions[0][..., 4].any()


def test_interval_widens_with_the_spread_between_mosaics() -> None:
    """Two mosaics whose words are all right or all wrong tell less than many words seem to."""
    words = [
        QuadrantWord(mosaic, 0, quadrants((2, 2))[0 if mosaic else 3], torch.tensor([1.0, 0, 0, 0]), 0.3)
        for mosaic in (0, 1)
        for _ in range(50)
    ]
    found = summarize_mosaics(words, (2, 2), 2)
    assert found.peak.model == 0.5 and found.peak.interval == (0.0, 1.0)
    assert len(QUADRANTS) == 4 and found.needed == 1.0
