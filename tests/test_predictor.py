"""The public API: photos of any kind in, captions with their attention out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import tiny

import captioner
from captioner.caption import Caption
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError
from captioner.predictor import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return captioner.load(tiny.model_file(), "cpu")


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return [record.source() for record in tiny.records()]  # type: ignore[operator]


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def texts(results: Any) -> list[str]:
    return [str(result) for result in results]


def test_every_kind_of_source_gives_the_same_caption(
    predictor: Predictor, images: list[Image.Image], tmp_path: Path
) -> None:
    data, path = png(images[0]), tmp_path / "scene.png"
    path.write_bytes(data)
    sources = [images[0], data, path, str(path), io.BytesIO(data), lambda: images[0]]
    captions = [predictor.caption(source) for source in sources]
    assert {(c.text, c.log_prob) for c in captions} == {(captions[0].text, captions[0].log_prob)}


def test_run_folder_can_be_loaded(predictor: Predictor, images: list[Image.Image]) -> None:
    again = captioner.load(str(tiny.model_file().parent), "cpu")
    assert again.caption(images[0]).text == predictor.caption(images[0]).text


def test_text_is_the_words(predictor: Predictor, images: list[Image.Image]) -> None:
    caption = predictor.caption(images[0])
    assert caption.text == str(caption) == " ".join(caption.words)
    assert set(caption.words) <= set(predictor.vocabulary.words[4:])


def test_log_prob_is_of_the_words_and_the_end(predictor: Predictor, images: list[Image.Image]) -> None:
    caption = predictor.caption(images[0])
    assert len(caption.word_log_probs) == len(caption.words)
    assert caption.log_prob < sum(caption.word_log_probs) < 0  # the end is less than certain


def test_attention_is_a_distribution_over_the_grid_for_every_word(
    predictor: Predictor, images: list[Image.Image]
) -> None:
    caption = predictor.caption(images[0])
    assert caption.attention is not None
    assert caption.attention.shape == (len(caption.words), 4, 4)  # 32 pixels, one location every 8
    assert caption.attention.dtype == np.float32
    np.testing.assert_allclose(caption.attention.sum((1, 2)), 1, atol=1e-5)
    assert (caption.attention >= 0).all()


def test_attention_follows_the_image(predictor: Predictor, images: list[Image.Image]) -> None:
    one, other = (predictor.caption(image).attention for image in images[:2])
    assert one is not None and other is not None
    assert not np.allclose(one[0], other[0], atol=1e-4)


def test_betas_are_gates(predictor: Predictor, images: list[Image.Image]) -> None:
    caption = predictor.caption(images[0])
    assert caption.betas is not None and len(caption.betas) == len(caption.words)
    assert all(0 < beta < 1 for beta in caption.betas)


def test_image_is_the_square_that_the_model_saw(predictor: Predictor) -> None:
    wide = Image.new("RGB", (96, 48), "white")
    wide.paste("red", (24, 0, 72, 48))  # the centre square
    seen = predictor.caption(wide).image
    assert seen is not None and seen.size == (32, 32)
    inside = seen.crop((1, 1, 31, 31))  # the edges are blurred
    assert inside.getcolors() == [(30 * 30, (255, 0, 0))]


def test_many_come_in_order(predictor: Predictor, images: list[Image.Image]) -> None:
    alone = [predictor.caption(image).text for image in images]
    assert len(set(alone)) > 1
    assert texts(predictor.caption_many(images)) == alone


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_batches_of_every_size_give_the_same_captions(
    predictor: Predictor, images: list[Image.Image], size: int
) -> None:
    one_by_one = [predictor.caption(image) for image in images]
    batched = list(predictor.caption_many(images, batch_size=size, attention=True))
    assert texts(batched) == texts(one_by_one)
    for one, other in zip(one_by_one, batched):
        assert isinstance(other, Caption) and one.attention is not None and other.attention is not None
        assert other.log_prob == pytest.approx(one.log_prob, abs=1e-3)
        np.testing.assert_allclose(other.attention, one.attention, atol=1e-3)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_broken_images_yield_their_errors_in_place(
    predictor: Predictor, images: list[Image.Image], size: int
) -> None:
    sources = [b"broken", images[0], b"", images[1], images[2], b"broken"]
    results = list(predictor.caption_many(sources, batch_size=size))
    assert [isinstance(r, CaptionerError) for r in results] == [True, False, True, False, False, True]
    assert texts(results[i] for i in (1, 3, 4)) == [predictor.caption(i).text for i in images[:3]]


def test_broken_image_alone_is_raised(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match=str(tmp_path)):
        predictor.caption(tmp_path / "none.png")


def test_nothing_gives_nothing(predictor: Predictor) -> None:
    assert list(predictor.caption_many([])) == []


def test_captions_come_before_all_images_are_asked_for(
    predictor: Predictor, images: list[Image.Image]
) -> None:
    asked = []

    def endless() -> Any:
        while True:
            asked.append(None)
            yield images[0]

    captions = predictor.caption_many(endless(), batch_size=2)
    assert [next(captions).text for _ in range(3)] == [predictor.caption(images[0]).text] * 3
    assert len(asked) <= 8


def test_options_reach_the_search(predictor: Predictor, images: list[Image.Image]) -> None:
    assert len(predictor.caption(images[0], max_length=2).words) == 2
    greedy = predictor.caption(images[0], strategy="greedy")
    assert greedy.text == predictor.caption(images[0], beam_size=1, strategy="beam").text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"beams": 3}, ["'beams'", "beam_size", "max_length"]),
        ({"beam_size": 0}, ["beam_size", "0", "between 1 and"]),
        ({"strategy": "best"}, ["strategy", "'best'", "greedy", "sample"]),
        ({"max_length": -1}, ["max_length"]),
        ({"top_p": 2.0}, ["top_p", "between 0 and 1"]),
    ],
)
def test_wrong_option_is_told_with_the_choices(
    predictor: Predictor, images: list[Image.Image], options: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(CaptionerError) as caught:
        predictor.caption(images[0], **options)
    assert [word for word in named if word not in str(caught.value)] == []


def test_wrong_options_of_many_are_told(predictor: Predictor, images: list[Image.Image]) -> None:
    with pytest.raises(CaptionerError, match="beam_size"):
        list(predictor.caption_many(images, SearchConfig(beam_size=0)))


def test_unknown_device_is_told() -> None:
    with pytest.raises(CaptionerError, match="toaster"):
        captioner.load(tiny.model_file(), "toaster")


def test_top_level_names_are_the_api() -> None:
    assert captioner.Caption is Caption and captioner.Predictor is Predictor
    assert captioner.CaptionerError is CaptionerError


def test_top_level_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="captoin"):
        _ = captioner.captoin
