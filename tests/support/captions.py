"""Captions of words and maps that a test chooses, without a model."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from captioner.predictor import ShownCaption

SENTENCE = "a small red circle is left of a large yellow square"  # with SENTENCE + one word: twelve


def drawing(width: int = 800, height: int = 500) -> Image.Image:
    """A photo that is nowhere grey, and not the same at any two of its sides."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image = Image.merge("RGB", [*image.split()[:2], Image.new("L", image.size, 200)])
    draw = ImageDraw.Draw(image)
    draw.ellipse((0.3 * width, 0.3 * height, 0.5 * width, 0.7 * height), "red")
    draw.rectangle((0.6 * width, 0.2 * height, 0.7 * width, 0.5 * height), "yellow")
    return image


def caption_of(
    text: str = SENTENCE, rows: int = 8, columns: int = 8, photo: Image.Image | None = None
) -> ShownCaption:
    """Each word looks at a place of its own; the model saw the square in the middle of the photo."""
    words = tuple(text.split())
    attention = np.full((len(words), rows * columns), 0.2 / (rows * columns - 1), np.float32)
    for i in range(len(words)):
        attention[i, (11 * i + 5) % (rows * columns)] = 0.8
    photo = photo or drawing()
    side = min(photo.size)
    left, top = (photo.width - side) / 2, (photo.height - side) / 2
    frame = (left, top, left + side, top + side)
    probability = np.linspace(0.5, 0.9, len(words))
    return ShownCaption(
        text=text,
        words=words,
        log_prob=-3.25,
        word_log_probs=tuple(np.log(probability).tolist()),
        attention=attention.reshape(-1, rows, columns),
        betas=tuple(np.linspace(0.3, 0.8, len(words)).tolist()),
        image=photo.resize((224, 224), box=frame),
        photo=photo,
        frame=frame,
        beam=(("another caption", -4.5), ("a third", -6.0)),
        scores=(-1.1, -1.25, -2.0),
        alternatives=tuple(
            ((w, float(np.log(p))), ("else", -3.0), ("<end>", -4.0)) for w, p in zip(words, probability)
        ),
        gates={"forget": (0.9,) * len(words), "input": (0.2,) * len(words)},
    )
