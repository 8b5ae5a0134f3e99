"""The animation: a frame a word, as attentive as the still figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from support.captions import SENTENCE, caption_of, drawing

from captioner.errors import CaptionerError
from captioner.visualize.animation import SIDE, attention_frames, save_animation
from captioner.visualize.overlay import overlay, top_of_scale, upsample


def band(frame: Image.Image, photo_height: int) -> np.ndarray:
    """What is written beneath the photo, as grey values."""
    return np.asarray(frame.convert("L"), int)[photo_height:]


def test_a_frame_for_the_photo_and_one_a_word() -> None:
    frames = attention_frames(caption_of("a dog runs"))
    assert len(frames) == 4 and len({frame.size for frame in frames}) == 1


def test_first_frame_is_what_the_model_saw() -> None:
    caption = caption_of("a dog")
    assert caption.photo is not None and caption.frame is not None
    seen = caption.photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC, caption.frame)
    assert attention_frames(caption)[0].crop((0, 0, SIDE, SIDE)).tobytes() == seen.tobytes()


@pytest.mark.parametrize("columns", [8, 5])
def test_words_are_laid_over_as_in_the_figure(columns: int) -> None:
    caption = caption_of("a dog", rows=8, columns=columns)
    assert caption.photo is not None and caption.attention is not None
    seen = caption.photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC, caption.frame)
    heat = upsample(caption.attention, SIDE)
    for frame, one in zip(attention_frames(caption)[1:], heat):
        assert frame.crop((0, 0, SIDE, SIDE)).tobytes() == overlay(seen, one, top_of_scale(heat)).tobytes()


def test_photo_that_was_squashed_keeps_its_shape() -> None:
    caption = replace(caption_of("a dog", photo=drawing(400, 200)), frame=(0, 0, 400, 200))
    first, word, _ = attention_frames(caption)
    seen = drawing(400, 200).resize((SIDE, SIDE // 2), Image.Resampling.BICUBIC)
    assert first.crop((0, 0, SIDE, SIDE // 2)).tobytes() == seen.tobytes()
    grey = np.asarray(word.crop((0, 0, SIDE, SIDE // 2)), int)
    row, column = np.unravel_index(grey.sum(-1).argmax(), grey.shape[:2])
    assert row < SIDE // 16 + 20 and abs(column - 5.5 / 8 * SIDE) < 60  # the first word looks at cell 5


def test_current_word_stands_out() -> None:
    frames = attention_frames(caption_of("mm mm mm"))
    whole, *words = [band(frame, SIDE) for frame in frames]
    darkest = [np.flatnonzero((w < 100).any(axis=0)) for w in words]
    assert all(len(d) for d in darkest)
    assert darkest[0].max() < darkest[1].min() < darkest[1].max() < darkest[2].min()
    written = np.flatnonzero((whole < 100).any(axis=0))
    assert (written.min(), written.max()) == (darkest[0].min(), darkest[2].max())


def test_long_caption_wraps_and_none_of_it_leaves_the_frame() -> None:
    short, long = attention_frames(caption_of("a dog")), attention_frames(caption_of(f"{SENTENCE} " * 4))
    assert long[0].height > short[0].height + 100
    for text in ("a dog", f"{SENTENCE} " * 4):
        written = band(attention_frames(caption_of(text.strip()))[0], SIDE) < 200
        assert written.any() and not (written[:, :5].any() or written[:, -5:].any() or written[-3:].any())


def test_caption_without_words_is_the_photo() -> None:
    caption = replace(
        caption_of("a"), text="", words=(), word_log_probs=(), attention=np.zeros((0, 8, 8), np.float32)
    )
    assert len(attention_frames(caption)) == 1


@pytest.mark.parametrize(("ending", "kind"), [("gif", "GIF"), ("apng", "PNG")])
def test_file_plays_for_ever(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"dog.{ending}"
    save_animation(caption_of("a dog runs"), path)
    frames = attention_frames(caption_of("a dog runs"))
    with Image.open(path) as image:
        assert (image.format, image.n_frames, image.info["loop"]) == (kind, 4, 0)  # type: ignore[attr-defined]
        for shown, frame in zip(ImageSequence.Iterator(image), frames):
            assert 500 <= shown.info["duration"] <= 2000
            difference = np.abs(np.asarray(shown.convert("RGB"), int) - np.asarray(frame, int)).mean()
            assert difference < (6 if ending == "gif" else 1e-9)
            assert shown.convert("RGB").getpixel((SIDE - 1, SIDE + 2)) == (255, 255, 255)  # no flicker


def test_what_stays_the_same_in_a_gif_keeps_its_colour(tmp_path: Path) -> None:
    caption = caption_of("a dog runs")
    save_animation(caption, tmp_path / "a.gif")
    frames = [np.asarray(frame) for frame in attention_frames(caption)]
    with Image.open(tmp_path / "a.gif") as image:
        shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    for one, other, first, second in zip(frames[1:], frames[2:], shown[1:], shown[2:]):
        same = (one == other).all(-1)
        assert same.mean() > 0.1 and (first[same] == second[same]).all()


def test_attention_has_its_colours_in_a_gif(tmp_path: Path) -> None:
    """Also where few pixels of all frames have them."""
    caption = caption_of(SENTENCE, 14, 14)
    save_animation(caption, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        for shown, frame in zip(ImageSequence.Iterator(image), attention_frames(caption)):
            expected = np.asarray(frame, int)[:SIDE]
            off = np.abs(np.asarray(shown.convert("RGB"), int)[:SIDE] - expected)
            bright = np.ptp(expected, axis=-1) > 60
            assert off[bright].mean() < 12 and off.mean() < 6


def test_animations_are_small(tmp_path: Path) -> None:
    for ending, most in (("gif", 2_500_000), ("apng", 4_000_000)):
        save_animation(caption_of(f"{SENTENCE} here"), tmp_path / f"a.{ending}")
        assert (tmp_path / f"a.{ending}").stat().st_size < most


def test_unknown_ending_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="'webm' is not one of gif, apng"):
        save_animation(caption_of(), tmp_path / "a.webm")


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="No such file or directory"):
        save_animation(caption_of("a"), tmp_path / "none" / "a.gif")


def test_caption_without_attention_is_refused() -> None:
    with pytest.raises(CaptionerError, match="attention=True"):
        attention_frames(replace(caption_of(), attention=None))
