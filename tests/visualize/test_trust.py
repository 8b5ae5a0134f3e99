"""How far maps may be believed: what the page says of a model, and the maps that it draws quiet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support.captions import caption_of

from captioner.caption import Caption
from captioner.evaluation.grounding import measures
from captioner.visualize.animation import attention_frames
from captioner.visualize.figure import attention_figure
from captioner.visualize.overlay import STRENGTH, overlay, top_of_scale, upsample
from captioner.visualize.page import entry
from captioner.visualize.trust import FADED, QUIET, UNMEASURED, apart, maps_note, quiet

MEASURED = {"peak": 0.612, "peak_from": 0.57, "peak_to": 0.65, "chance": 0.25, "alone": 0.79, "half": 0.52}


def with_quiet_word(text: str = "a dog runs", number: int = 1) -> Caption:
    """One word's map is the mean of the others', and so of all; the others look at a place of their own."""
    caption = caption_of(text)
    assert caption.attention is not None
    maps = caption.attention.copy()
    maps[number] = np.delete(maps, number, axis=0).mean(axis=0)
    return replace(caption, attention=maps)


def test_maps_are_as_far_apart_as_an_evaluation_finds() -> None:
    maps = np.random.default_rng(0).dirichlet(np.full(15, 0.5), 6).astype(np.float32).reshape(6, 3, 5)
    np.testing.assert_allclose(apart(maps), measures.apart(torch.from_numpy(maps).flatten(1)), atol=1e-6)
    assert len(apart(maps[:0])) == 0


@pytest.mark.parametrize(("distance", "expected"), [(0.9 * QUIET, True), (1.1 * QUIET, False)])
def test_maps_nearer_to_the_mean_than_the_limit_are_quiet(distance: float, expected: bool) -> None:
    flat = np.full((1, 2, 2), 0.25)
    moved = np.array([[[distance, -distance], [0, 0]]])  # two opposite ones leave the mean where it is
    assert quiet(np.concatenate([flat + moved, flat - moved, flat])) == [expected, expected, True]


def test_only_word_of_a_caption_is_not_quiet() -> None:
    assert quiet(np.full((1, 2, 2), 0.25)) == [False]
    assert quiet(np.zeros((0, 2, 2))) == []


def test_line_tells_what_was_measured() -> None:
    line = maps_note(MEASURED).replace("\N{NO-BREAK SPACE}", " ")
    for told in ("61 % of the words", "57 to 65", "chance 25 %", "at best 79 %", "52 % of the photo's side"):
        assert told in line
    without = {name: value for name, value in MEASURED.items() if name not in ("alone", "half")}
    assert "at best" not in maps_note(without) and "cell" not in maps_note(without)
    assert maps_note({"half": 0.52}).startswith("Half of what a cell sees")


@pytest.mark.parametrize("grounding", [None, {}, {"mass": 0.5}])
def test_line_without_figures_tells_how_to_measure_them(grounding: dict[str, float] | None) -> None:
    assert maps_note(grounding) == UNMEASURED
    assert "captioner evaluate grounding=true" in UNMEASURED and "captioner average" in UNMEASURED


def test_page_has_the_figures_and_the_line() -> None:
    values = entry(replace(caption_of(), grounding=MEASURED))
    assert values["grounding"] == MEASURED and values["maps_note"] == maps_note(MEASURED)
    values = entry(caption_of())
    assert values["grounding"] is None and values["maps_note"] == UNMEASURED


def test_quiet_map_has_less_colour_over_the_same_grey() -> None:
    photo = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    heat = np.linspace(0, 2, 64 * 64, dtype=np.float32).reshape(64, 64)
    bright, faint = (np.asarray(overlay(photo, heat, 2.0, part), float) for part in (1, FADED))
    grey = np.asarray(photo, float)
    colours = (bright - (1 - STRENGTH) * grey) / STRENGTH
    np.testing.assert_allclose(faint, (1 - FADED * STRENGTH) * grey + FADED * STRENGTH * colours, atol=1.6)


def test_figure_draws_the_word_faint_and_says_why() -> None:
    told = [(text.get_text(), text.get_color()) for text in attention_figure(with_quiet_word()).texts]
    colours = dict(told)
    assert colours["dog"] != colours["a"] == colours["runs"]
    assert any(text.startswith("Faint: ") for text in colours)
    assert not any(text.startswith("Faint: ") for text in map(_text, attention_figure(caption_of()).texts))


def test_figure_tells_what_was_measured_and_nothing_else() -> None:
    told = [_text(text) for text in attention_figure(replace(caption_of(), grounding=MEASURED)).texts]
    assert " ".join(told[-1].split("\n")) == maps_note(MEASURED)
    assert not any("captioner evaluate" in _text(text) for text in attention_figure(caption_of()).texts)


def test_animation_draws_the_map_quiet() -> None:
    caption = with_quiet_word()
    assert caption.attention is not None
    frame = attention_frames(caption)[2]
    shown = frame.crop((0, 0, frame.width, frame.width))  # the square that the model saw
    assert caption.photo is not None
    seen = caption.photo.resize(shown.size, Image.Resampling.BICUBIC, caption.frame)
    heat = upsample(caption.attention, shown.height)
    expected = overlay(seen, heat[1], top_of_scale(heat), FADED)
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))


def _text(text: object) -> str:
    return text.get_text()  # type: ignore[attr-defined, no-any-return]
