"""Generated scenes: what the captions say, checked against the pixels that are drawn."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from captioner.config.data import ScenesConfig, TableConfig
from captioner.data.load import load_split
from captioner.data.records import Box, Record
from captioner.data.scenes.captions import reference_captions
from captioner.data.scenes.drawing import Item, Scene, draw_scene
from captioner.data.scenes.scenes import load_scenes, make_scenes, write_scenes
from captioner.errors import CaptionerError
from captioner.vocabulary import tokenize

CONFIG = ScenesConfig(train=120, val=60, test=60)
COLOURS = {  # as people would call them; the nearest one is a pixel's colour
    "red": (220, 40, 40),
    "orange": (255, 140, 20),
    "yellow": (255, 220, 50),
    "green": (40, 160, 80),
    "blue": (40, 100, 210),
    "purple": (130, 60, 180),
}


@cache
def records() -> list[Record]:
    return load_scenes(CONFIG, "train")


def draw(record: Record) -> Image.Image:
    assert callable(record.source)
    return record.source()


def colour_names(record: Record) -> NDArray[np.str_]:
    """The name of every pixel's colour, ``(height, width)``."""
    pixels = np.asarray(draw(record), dtype=float)[:, :, None, :]
    named = {**COLOURS, "background": (245, 245, 245)}
    distances = np.abs(pixels - np.array(list(named.values()))).sum(axis=-1)
    names: NDArray[np.str_] = np.array(list(named))[distances.argmin(axis=-1)]
    return names


def words_with_boxes(record: Record, caption: int) -> list[tuple[str, str, Box | None]]:
    """The caption's words, each with its kind and box if it has one."""
    known = {g.word: (g.kind, g.box) for g in record.groundings if g.caption == caption}
    words = tokenize(record.captions[caption])
    return [(word, *known.get(i, ("", None))) for i, word in enumerate(words)]


def middle(box: Box) -> tuple[float, float]:
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2


def test_every_scene_has_five_captions_of_bounded_length() -> None:
    for record in records():
        assert len(set(record.captions)) == 5
        assert all(3 <= len(tokenize(caption)) <= 20 for caption in record.captions)


def test_captions_of_known_scenes() -> None:
    sun = Item("circle", "orange", "small", 20, 50, 9)
    house = Item("square", "red", "large", 70, 30, 15)
    tree = Item("triangle", "green", "small", 70, 75, 10)
    alone, _ = reference_captions(Scene((sun,), 96, (250, 250, 250)))
    assert alone[0] == "there is a small orange circle"
    assert alone[4] == "an orange circle on a plain background"
    two, _ = reference_captions(Scene((house, tree), 96, (250, 250, 250)))
    assert two[0] == "a large red square is above a small green triangle"
    assert two[4] == "a green triangle is below a red square"
    three, _ = reference_captions(Scene((sun, house, tree), 96, (250, 250, 250)))
    assert three[4] == "a red square and a green triangle are right of an orange circle"


def test_articles_agree() -> None:
    for record in records():
        for caption in record.captions:
            words = tokenize(caption)
            for article, following in pairwise(words):
                if article in ("a", "an"):
                    assert article == ("an" if following == "orange" else "a"), caption


def test_verbs_agree() -> None:
    for record in records():
        for caption in record.captions:
            subject, verb, _ = caption.partition(" are ")
            if verb:
                assert " and " in subject, caption
            subject, verb, _ = caption.partition(" is ")
            if verb:
                assert " and " not in subject, caption


def test_every_colour_shape_and_size_word_is_grounded() -> None:
    kinds = {
        "colour": set(COLOURS),
        "shape": {"circle", "square", "triangle", "star"},
        "size": {"small", "large"},
    }
    for record in records():
        for caption in range(5):
            for word, kind, _ in words_with_boxes(record, caption):
                assert kind == next((k for k, members in kinds.items() if word in members), "")


def test_every_caption_names_every_item() -> None:
    for record in records():
        boxes = {grounding.box for grounding in record.groundings}
        for caption in range(5):
            words = words_with_boxes(record, caption)
            assert {box for _, kind, box in words if kind == "colour"} == boxes
            assert {box for _, kind, box in words if kind == "shape"} == boxes


def test_the_named_colour_stands_at_the_middle_of_the_box() -> None:
    for record in records():
        names = colour_names(record)
        for word, kind, box in words_with_boxes(record, 0):
            if kind == "colour" and box is not None:
                x, y = middle(box)
                assert names[int(y), int(x)] == word


@pytest.mark.parametrize("pixels", [64, 96, 224])
def test_boxes_are_tight(pixels: int) -> None:
    for record in load_scenes(replace(CONFIG, train=30, image_size=pixels), "train"):
        image = np.asarray(draw(record), dtype=int)
        drawn = np.abs(image - image[0, 0]).sum(axis=-1) > 12  # the corner is background
        for box in {grounding.box for grounding in record.groundings}:
            left, top, right, bottom = (round(edge) for edge in box)
            ys, xs = np.nonzero(drawn[top - 1 : bottom + 1, left - 1 : right + 1])
            found = xs.min() + left - 1, ys.min() + top - 1, xs.max() + left, ys.max() + top
            assert np.allclose(found, box, atol=1.3), (record.captions[0], found, box)


def test_nothing_is_drawn_outside_the_boxes() -> None:
    for record in records():
        image = np.asarray(draw(record), dtype=int).copy()
        background = image[0, 0].copy()
        for left, top, right, bottom in {grounding.box for grounding in record.groundings}:
            image[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = background
        assert (image == background).all()


def test_relations_agree_with_the_boxes() -> None:
    for record in records():
        for caption in range(5):
            words = words_with_boxes(record, caption)
            texts = [word for word, _, _ in words]
            relation = {"left", "right", "above", "below"} & set(texts)
            if not relation:
                continue
            cut = texts.index(relation.copy().pop())
            subjects = {box for _, _, box in words[:cut] if box is not None}
            objects = {box for _, _, box in words[cut:] if box is not None}
            for subject in subjects:
                for other in objects:
                    (x, y), (u, v) = middle(subject), middle(other)
                    vertical = abs(v - y) > abs(u - x)
                    seen = ("above" if y < v else "below") if vertical else "left" if x < u else "right"
                    assert relation == {seen}, record.captions[caption]


def test_every_scene_of_several_items_tells_a_relation() -> None:
    for record in records():
        several = len({grounding.box for grounding in record.groundings}) > 1
        words = set(tokenize(record.captions[0]))
        assert several == bool(words & {"left", "above"}), record.captions[0]


def test_size_words_agree_with_the_boxes() -> None:
    widths: dict[str, list[float]] = {"small": [], "large": []}
    for record in records():
        for word, kind, box in words_with_boxes(record, 0):
            if kind == "size" and box is not None:
                widths[word].append(box[2] - box[0])
    assert max(widths["small"]) * 1.2 < min(widths["large"])


def test_boxes_do_not_touch() -> None:
    for record in records():
        boxes = sorted({grounding.box for grounding in record.groundings})
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def test_splits_have_no_layout_in_common() -> None:
    many = ScenesConfig(train=600, val=600, test=600)
    layouts = [{scene.items for scene in make_scenes(many, s)} for s in ("train", "val", "test")]
    assert not layouts[0] & layouts[1] and not layouts[0] & layouts[2] and not layouts[1] & layouts[2]


def test_other_splits_of_other_seeds_have_no_layout_in_common() -> None:
    train = {scene.items for scene in make_scenes(ScenesConfig(train=600, seed=1), "train")}
    assert not train & {scene.items for scene in make_scenes(ScenesConfig(val=600), "val")}


def test_scenes_are_the_same_every_time() -> None:
    for again, record in zip(load_scenes(CONFIG, "train"), records(), strict=True):
        assert (again.captions, again.groundings) == (record.captions, record.groundings)
        assert draw(again).tobytes() == draw(record).tobytes()


def test_a_larger_split_begins_with_the_smaller_one() -> None:
    assert make_scenes(replace(CONFIG, train=10), "train") == make_scenes(CONFIG, "train")[:10]


def test_seeds_give_other_scenes() -> None:
    assert make_scenes(replace(CONFIG, seed=1), "train") != make_scenes(CONFIG, "train")


def test_sources_travel_to_other_processes() -> None:
    record = pickle.loads(pickle.dumps(records()[0]))
    assert draw(record).tobytes() == draw(records()[0]).tobytes()


def test_image_has_the_configured_size() -> None:
    (record, *_) = load_scenes(replace(CONFIG, image_size=50), "val")
    assert draw(record).size == (50, 50) and draw(record).mode == "RGB"


def test_draw_scene_draws_antialiased_edges() -> None:
    scene = Scene((Item("circle", "red", "large", 48, 48, 16),), 96, (250, 250, 250))
    colours = draw_scene(scene).getcolors()
    assert colours is not None and 10 < len(colours) < 100


def test_written_scenes_are_read_as_a_table(tmp_path: Path) -> None:
    path = write_scenes(CONFIG, "val", tmp_path / "scenes")
    table = TableConfig(root=str(tmp_path / "scenes"), val=str(path))
    for written, made in zip(load_split(table, "val"), load_scenes(CONFIG, "val"), strict=True):
        assert written.captions == made.captions
        assert isinstance(written.source, Path)
        assert Image.open(written.source).tobytes() == draw(made).tobytes()


@pytest.mark.parametrize(
    ("config", "key"),
    [(ScenesConfig(train=0), "data.train"), (ScenesConfig(image_size=8), "data.image_size")],
)
def test_values_out_of_range(config: ScenesConfig, key: str) -> None:
    with pytest.raises(CaptionerError, match=f"^{key}: .* out of range"):
        load_scenes(config, "train")
