"""Whether a model's confidence tells photos like those it knows from other pictures.

    python scripts/measure_confidence.py --root FLICKR8K [--checkpoint MODEL]

Captions the development split of Flickr8k, and as many pictures that are no such photos: generated scenes,
charts, pages of text, and textures. Prints for each kind the area under the ROC curve of the mean log
probability per word, and the threshold that one photo in twenty falls below.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import captioner
from captioner.caption import Caption
from captioner.config.data import Flickr8kConfig, ScenesConfig
from captioner.data.load import load_split
from captioner.data.scenes.drawing import draw_scene
from captioner.data.scenes.scenes import make_scenes

SIDE = 320  # pixels
SHARE = 0.05  # of the photos that may be doubted
WORDS = ("the", "of", "and", "to", "in", "is", "you", "that", "he", "was", "for", "on", "are", "with", "as")


def scenes(count: int) -> Iterator[Image.Image]:
    return map(draw_scene, make_scenes(ScenesConfig(test=count, image_size=SIDE), "test"))


def charts(count: int) -> Iterator[Image.Image]:
    random = np.random.default_rng(1)
    for i in range(count):
        figure = Figure(figsize=(4, 3), dpi=100)
        axes = figure.add_subplot()
        values = random.uniform(0, 1, 12)
        kind = i % 4
        if kind == 0:
            axes.plot(np.cumsum(random.normal(size=(60, 3)), axis=0))
        elif kind == 1:
            axes.bar(range(12), values)
        elif kind == 2:
            axes.scatter(random.normal(size=80), random.normal(size=80))
        else:
            axes.pie(values[:5])
        axes.set_title(f"figure {i}")
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
        yield Image.open(stream).convert("RGB")


def pages(count: int) -> Iterator[Image.Image]:
    """Windows full of text, dark and light."""
    random = np.random.default_rng(2)
    for i in range(count):
        paper, ink = ("#1e1e1e", "#d4d4d4") if i % 2 else ("white", "black")
        page = Image.new("RGB", (640, 480), paper)
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, 0, 640, 28), fill="#4a6fa5" if i % 3 else "#cccccc")
        for line in range(int(random.integers(6, 26))):
            text = " ".join(random.choice(WORDS, int(random.integers(3, 16))))
            draw.text((20 + 20 * int(random.integers(0, 3)), 40 + 16 * line), text, fill=ink)
        yield page


def textures(count: int) -> Iterator[Image.Image]:
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for i in range(count):
        scale = float(random.uniform(2, 40))
        waves = np.sin(rows / scale + random.uniform(0, 6)) * np.sin(columns / random.uniform(2, 40))
        grain = random.normal(size=(SIDE, SIDE))
        pattern = [waves, grain, (rows // scale + columns // scale) % 2, rows / SIDE + 0.1 * grain][i % 4]
        low, high = pattern.min(), pattern.max()
        tint = random.uniform(0.3, 1, 3)
        pixels = (pattern - low)[..., None] / (high - low) * tint * 255
        yield Image.fromarray(pixels.astype(np.uint8))


KINDS: dict[str, Callable[[int], Iterator[Image.Image]]] = {
    "scenes": scenes,
    "charts": charts,
    "pages of text": pages,
    "textures": textures,
}


def auroc(known: np.ndarray, other: np.ndarray) -> float:
    """The probability that a known photo has the higher value, ties counting half."""
    differences = known[:, None] - other[None]
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of Flickr8k")
    parser.add_argument("--checkpoint", help="default: as captioner caption")
    parser.add_argument("--count", type=int, default=1000, help="photos, and other pictures (default: 1000)")
    options = parser.parse_args()
    predictor = captioner.load(options.checkpoint)

    def confidences(images: Iterator[object]) -> np.ndarray:
        results = predictor.caption_many(images)  # type: ignore[arg-type]
        return np.array([result.confidence for result in results if isinstance(result, Caption)])

    records = load_split(Flickr8kConfig(root=options.root), "dev")[: options.count]
    photos = confidences(record.source for record in records)
    others = {}
    for kind, draw in KINDS.items():
        others[kind] = confidences(draw(options.count // len(KINDS)))
        mean = others[kind].mean()
        print(f"{kind:<14} mean {mean:.3f}, AUROC {auroc(photos, others[kind]):.3f}")
    everything = np.concatenate(list(others.values()))
    threshold = float(np.quantile(photos, SHARE))
    print(f"photos         mean {photos.mean():.3f}")
    print(f"all together   AUROC {auroc(photos, everything):.3f}")
    caught = (everything < threshold).mean()
    print(f"threshold {threshold:.3f}: below are {SHARE:.0%} of the photos and {caught:.0%} of the others")


if __name__ == "__main__":
    main()
