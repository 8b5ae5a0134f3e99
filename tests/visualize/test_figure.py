"""The still figure and the heat maps in it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from support.captions import caption_of as caption_with_photo
from support.captions import drawing

from captioner.caption import Caption
from captioner.errors import CaptionerError
from captioner.visualize.figure import attention_figure, save_figure
from captioner.visualize.overlay import overlay, top_of_scale, upsample
from captioner.visualize.places import MARGIN, NOTE, WORD, Places
from captioner.visualize.sheet import DPI


def caption_of(text: str, cells: int = 7) -> Caption:
    words = tuple(text.split())
    attention = np.random.default_rng(0).random((len(words), cells, cells), np.float32)
    return Caption(
        text=text,
        words=words,
        log_prob=-3.25,
        word_log_probs=(float(np.log(0.5)),) * len(words),
        attention=attention / attention.sum((1, 2), keepdims=True),
        betas=(0.83,) * len(words),
        image=Image.new("RGB", (96, 96), "red"),
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


# --- heat maps ------------------------------------------------------------------------------------


def test_uniform_attention_is_one_everywhere() -> None:
    heat = upsample(np.full((2, 7, 7), 1 / 49, np.float32), 50)
    assert heat.shape == (2, 50, 50)
    np.testing.assert_allclose(heat, 1, rtol=1e-5)


def test_heat_is_highest_where_the_attention_is() -> None:
    attention = np.zeros((1, 5, 10), np.float32)  # rows and columns must not be mixed up
    attention[0, 1, 7] = 1
    row, column = np.unravel_index(upsample(attention, 100).argmax(), (100, 100))
    assert (row, column) == (pytest.approx(30, abs=1), pytest.approx(75, abs=1))  # cell centre


def test_heat_stays_within_the_range_of_the_cells() -> None:
    attention = np.random.default_rng(0).dirichlet(np.ones(49), 3).reshape(3, 7, 7)
    heat = upsample(attention.astype(np.float32), 100)
    assert heat.min() >= 49 * attention.min() and heat.max() <= 49 * attention.max()


def test_overlay_is_brighter_where_the_heat_is() -> None:
    heat = np.repeat(np.linspace(0, 3, 30, dtype=np.float32)[None], 20, axis=0)
    image = overlay(Image.new("RGB", (8, 8), "grey"), heat, top_of_scale(heat))
    assert image.size == (30, 20)
    luminance = np.asarray(image.convert("L"), int)[0]
    assert (np.diff(luminance) >= 0).all() and luminance[-1] > luminance[0] + 80


def test_nearly_uniform_attention_is_not_stretched_over_the_colours() -> None:
    assert top_of_scale(np.full((1, 4, 4), 1.1, np.float32)) == 2
    assert top_of_scale(np.full((1, 4, 4), 9.0, np.float32)) == 9


# --- the figure -----------------------------------------------------------------------------------


def test_a_panel_for_the_photo_and_each_word_and_a_scale() -> None:
    figure = attention_figure(caption_of("a dog runs"))
    assert len(figure.axes) == 1 + 3 + 1
    assert {"a dog runs", "a", "dog", "runs", "p 0.50    β 0.83"} <= set(texts(figure))
    assert "log p \N{MINUS SIGN}3.25" in texts(figure)


def test_a_word_that_needs_no_look_is_told_so() -> None:
    caption = replace(caption_of("a dog of"), betas=(0.83, 0.5, 0.12))
    notes = [text for text in texts(attention_figure(caption)) if "p 0" in text]
    assert notes == ["p 0.50    β 0.83", "p 0.50    β 0.50", "p 0.50    β 0.12 ○"]


def test_without_a_gate_no_beta_is_shown() -> None:
    figure = attention_figure(replace(caption_of("a dog"), betas=None))
    assert not any("β" in text for text in texts(figure))


@pytest.mark.parametrize("text", ["", "dog", "a dog runs", " ".join(["word"] * 31)])
def test_texts_and_panels_of_any_number_of_words_stay_inside_and_apart(text: str) -> None:
    figure = attention_figure(replace(caption_of(text), betas=(0.1,) * len(text.split())))  # longer notes
    figure.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    boxes += [written.get_window_extent() for written in figure.texts if written.get_text()]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize(
    "size", [(64, 64), (800, 533), (533, 800), (300, 300), (640, 640), (800, 1), (1, 800), (2400, 1600)]
)
@pytest.mark.parametrize("count", [0, 1, 5, 12, 31])
def test_photos_of_any_shape_and_their_panels_stay_inside_and_apart(
    size: tuple[int, int], count: int
) -> None:
    places = Places.of(size, count)
    boxes = [(MARGIN, 0.0, MARGIN + places.photo[0], WORD + places.photo[1] + NOTE)]
    for i in range(count):
        left, upper = places.of_word(i)
        boxes.append((left, upper - WORD, left + places.panel[0], upper + places.panel[1] + NOTE))
    for i, (left, upper, right, lower) in enumerate(boxes):
        assert left >= MARGIN - 1e-6 and right <= places.width - MARGIN + 1e-6
        assert upper >= -1e-6 and lower <= places.height + 1e-6
        for other in boxes[i + 1 :]:
            apart = other[0] >= right - 1e-6 or other[2] <= left + 1e-6
            assert apart or other[1] >= lower - 1e-6 or other[3] <= upper + 1e-6
    assert places.width <= 13.5 and places.photo[0] * DPI >= 0.9 * min(1200, size[0]) - 1


def test_photo_has_its_own_pixels_and_maps_cover_what_was_seen() -> None:
    caption = caption_with_photo("a dog", photo=drawing(640, 400))
    photo, first, *_ = attention_figure(caption).axes
    shown = photo.images[0].get_array()
    assert shown is not None and shown.shape[0] >= 400 and shown.shape[1] >= 640
    assert np.abs(np.asarray(shown, int)[10, 10] - drawing(640, 400).getpixel((10, 6))).max() < 12
    panel = np.asarray(first.images[0].get_array(), int)
    height, width = panel.shape[:2]
    assert width / height == pytest.approx(1.6, rel=0.02)
    left = round(width * 120 / 640)  # the model saw the square from 120 to 520
    border, seen = panel[:, : left - 1], panel[:, left + 1 : width - left - 1]
    small = np.asarray(drawing(640, 400).resize((width, height)), int)[:, : left - 1]
    assert np.abs(border - (0.4 * small + 0.6 * 255)).max() < 6  # the photo's colours, paler
    assert border.mean() > seen.mean() + 50
    peak = np.unravel_index(np.ptp(seen, axis=-1).argmax(), seen.shape[:2])
    assert peak[0] < height / 4 and abs(peak[1] / seen.shape[1] - 5.5 / 8) < 0.1  # cell 5 of 8 x 8


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    "name", ["photo.jpg", "x" * 400 + ".jpg", "caf\udce9.jpg", "line\nbreak.jpg", "$\\frac{.jpg", "東京.jpg"]
)
def test_name_stands_above_the_caption_within_the_sheet(tmp_path: Path, name: str) -> None:
    figure = attention_figure(caption_of("a dog"), name)
    figure.draw_without_rendering()
    caption, title = figure.texts[:2]
    assert caption.get_text() == "a dog" and title.get_text().strip("'")[-4:] == ".jpg"
    above, below = title.get_window_extent(), caption.get_window_extent()
    assert above.y0 >= below.y1 and above.x1 <= figure.bbox.x1 and "\n" not in title.get_text()
    save_figure(caption_of("a dog"), tmp_path / "a.png", name)


def test_large_photo_gives_a_file_that_is_not(tmp_path: Path) -> None:
    caption = caption_with_photo("a small red circle is left of a square", photo=drawing(2400, 1600))
    for ending in ("png", "svg", "pdf"):
        save_figure(caption, tmp_path / f"a.{ending}")
        assert (tmp_path / f"a.{ending}").stat().st_size < 3_000_000


def test_long_captions_are_wrapped() -> None:
    text = " ".join(["word"] * 31)
    title = texts(attention_figure(caption_of(text)))[0]
    assert "\n" in title and title.replace("\n", " ") == text


def test_markup_and_other_scripts_are_shown_as_text_without_warnings(tmp_path: Path) -> None:
    caption = caption_of(r"costs $5 or $\frac{ <b>猫</b> собака")
    assert r"$\frac{" in texts(attention_figure(caption))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(caption, tmp_path / "odd.png")


def test_caption_without_attention_is_refused() -> None:
    with pytest.raises(CaptionerError, match="attention=True"):
        attention_figure(replace(caption_of("a dog"), attention=None))


@pytest.mark.parametrize(("ending", "magic"), [("PNG", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_format_follows_the_ending(tmp_path: Path, ending: str, magic: bytes) -> None:
    path = tmp_path / f"figure.{ending}"
    save_figure(caption_of("a"), path)
    assert path.read_bytes().startswith(magic)


def test_unknown_ending_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="'bmp' is not one of png, svg, pdf"):
        save_figure(caption_of("a"), tmp_path / "figure.bmp")


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none" / "figure.png"
    with pytest.raises(CaptionerError) as caught:
        save_figure(caption_of("a"), path)
    assert str(caught.value) == f"{path}: No such file or directory"


def test_pyplot_and_its_windows_are_never_loaded() -> None:
    code = "import sys, captioner.visualize.figure; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
