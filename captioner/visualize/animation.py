"""A caption as an animation: the photo, then word after word where the model looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from captioner.data.photos.written import MARK
from captioner.errors import check_choice
from captioner.visualize.fonts import font_file
from captioner.visualize.kinds import ANIMATIONS
from captioner.visualize.overlay import maps_and_square, overlay, top_of_scale, upsample
from captioner.visualize.sheet import INK, picture_file
from captioner.visualize.trust import FADED, quiet

if TYPE_CHECKING:
    from captioner.caption import Caption

WORD, PAUSE = 800, 1600  # milliseconds that a word is shown, and the photo before the first

# Lengths in pixels.
SIDE = 480  # the longest of the square that the model saw
MARGIN, LINE, TEXT = 20, 34, 24
SAMPLE = 160  # the photo's side where a GIF's colours are chosen
NEAR = 8  # levels to the colours of paper and ink within which a GIF has no other
PAPER, FAINT = "#ffffff", "#a6a6a6"


def attention_frames(caption: Caption) -> list[Image.Image]:
    """The photo as the model saw it over the whole caption, then one frame per word.

    A word's frame has its attention over the photo, in the colours and on the scale of the still
    figure, and the word itself stands out in the caption beneath.

    Raises:
        CaptionerError: the caption was made without attention.
    """
    maps, square = maps_and_square(caption, "animation")
    photo = _seen(caption, square)
    heat = upsample(maps, photo.height, photo.width)
    top = top_of_scale(heat)
    font = ImageFont.truetype(font_file(caption.text), TEXT)
    places = _set(caption, font, photo.width)
    bottom = photo.height + MARGIN + LINE * (1 + max((row for row, _ in places), default=0)) + MARGIN // 2
    parts = [FADED if faint else 1.0 for faint in quiet(maps)]
    maps_over = [overlay(photo, one, top, part) for one, part in zip(heat, parts)]
    frames = []
    for current, image in enumerate([photo, *maps_over], start=-1):
        frame = Image.new("RGB", (photo.width, bottom), PAPER)
        frame.paste(image)
        draw = ImageDraw.Draw(frame)
        for i, (word, (row, left)) in enumerate(zip(caption.words, places)):
            ink = INK if current in (-1, i) else FAINT
            draw.text((left, photo.height + MARGIN + row * LINE), word, ink, font)
        frames.append(frame)
    return frames


def save_animation(caption: Caption, path: str | Path) -> None:
    """Write :func:`attention_frames`, in a loop, to a file of the format its name ends in.

    Raises:
        CaptionerError: the name ends in none of ``ANIMATIONS``, the file cannot be written, or the
            caption was made without attention.
    """
    ending = Path(path).suffix.lower().lstrip(".")
    check_choice(ending, ANIMATIONS, f"ending of {path}")
    frames = attention_frames(caption)
    if ending == "gif":
        frames = _in_256_colours(frames)
    mark = PngInfo()
    mark.add_text("Software", MARK)
    durations = [PAUSE] + [WORD] * (len(frames) - 1)
    with picture_file(path) as file:
        frames[0].save(
            file,
            "GIF" if ending == "gif" else "PNG",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
            comment=MARK,
            pnginfo=mark,
        )


def _seen(caption: Caption, square: Image.Image) -> Image.Image:
    """The part of the photo that the model saw, in its own shape and with the photo's detail."""
    if caption.photo is None or caption.frame is None:
        return square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    left, top, right, bottom = caption.frame
    scale = SIDE / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    return caption.photo.resize(size, Image.Resampling.BICUBIC, caption.frame)


def _set(caption: Caption, font: ImageFont.FreeTypeFont, width: int) -> list[tuple[int, float]]:
    """Row and left edge of every word, set in lines as wide as the photo."""
    space = font.getlength(" ") if caption.text != "".join(caption.words) else 0.0
    places, row, left = [], 0, float(MARGIN)
    for word in caption.words:
        length = font.getlength(word)
        if left > MARGIN and left + length > width - MARGIN:
            row, left = row + 1, float(MARGIN)
        places.append((row, left))
        left += length + space
    return places


def _in_256_colours(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Frames in the 256 colours that suit them together, as a GIF has no more; the paper stays white.

    One palette for all takes a fraction of the time of one per frame, and nothing that is the same in two
    frames changes its colour between them; nor is there the noise of dithering, which would.
    """
    photo, *maps = frames
    side = SAMPLE // math.isqrt(max(1, len(maps)))  # as many pixels of all maps as of the photo
    montage = Image.new("RGB", (SAMPLE, len(maps) * side))
    for i, frame in enumerate(maps):
        montage.paste(frame.resize((side, side), Image.Resampling.NEAREST, _square(frame)), (0, i * side))
    # of the maps every colour counts once too, since few pixels are attended
    levels = np.unique(np.asarray(montage).reshape(-1, 3) >> 3, axis=0)
    of_maps = Image.fromarray((levels << 3 | 4).astype(np.uint8)[None])
    of_photo = photo.resize((SAMPLE, SAMPLE), Image.Resampling.NEAREST, _square(photo))
    fixed = [ImageColor.getrgb(colour)[:3] for colour in (PAPER, INK, FAINT)]
    chosen = [*_palette(of_photo, 101), *_palette(of_maps, 76), *_palette(montage, 76)]
    apart = [c for c in chosen if all(max(abs(x - y) for x, y in zip(c, f)) > NEAR for f in fixed)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for colour in (*fixed, *apart) for channel in colour])
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _square(frame: Image.Image) -> tuple[int, int, int, int]:
    """The picture's part of a frame, or most of it, without the words."""
    return 0, 0, frame.width, min(frame.width, frame.height)


def _palette(image: Image.Image, colours: int) -> list[tuple[int, ...]]:
    """At most so many colours that suit an image."""
    flat = image.quantize(colours, Image.Quantize.MEDIANCUT).getpalette() or []
    return [tuple(flat[i : i + 3]) for i in range(0, min(len(flat), 3 * colours), 3)]
