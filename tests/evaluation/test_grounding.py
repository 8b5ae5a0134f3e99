"""Where maps stand: measures against painted pixels, words against scenes, the report against its parts."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from support import tiny

from captioner.checkpoint.file import load_checkpoint
from captioner.cli.average import run as average
from captioner.cli.evaluate import run
from captioner.config.data import TableConfig
from captioner.config.schema import EvaluateConfig, RunConfig
from captioner.config.search import SearchConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Box, Grounding, Record
from captioner.data.scenes.drawing import COLOURS
from captioner.data.scenes.scenes import write_scenes
from captioner.evaluation.evaluate import evaluate
from captioner.evaluation.grounding.figure import grounding_figure
from captioner.evaluation.grounding.measures import (
    apart,
    covered,
    holds_centre,
    moved,
    normalized_entropy,
    of_other_images,
    peaks,
    touched,
)
from captioner.evaluation.grounding.naming import Named, named_in_caption, named_in_reference, word_kinds
from captioner.evaluation.grounding.placement import PlacedWord, placements
from captioner.evaluation.grounding.table import as_lines
from captioner.metrics import coco

GRID = (3, 4)  # rows and columns must not be mixed up
PIXELS = 120


def random_maps(count: int, locations: int = 12) -> torch.Tensor:
    return torch.rand(count, locations, dtype=torch.float64).softmax(-1)


def random_boxes(count: int) -> torch.Tensor:
    """Boxes on the pixels of a square of 120."""
    corners = torch.randint(0, PIXELS + 1, (2, count, 2)).double()
    low, high = torch.minimum(*corners), torch.maximum(*corners) + 1
    return torch.cat([low, high.clamp_max(PIXELS)], dim=1) / PIXELS


def one_hot(cell: int, locations: int = 12) -> torch.Tensor:
    return torch.eye(locations, dtype=torch.float64)[cell]


# --- measures -------------------------------------------------------------------------------------


def test_covered_is_what_pixels_say() -> None:
    boxes = random_boxes(20)
    rows, columns = GRID
    for box, cells in zip(boxes, covered(boxes, GRID), strict=True):
        left, top, right, bottom = (box * PIXELS).round().int().tolist()
        painted = np.zeros((PIXELS, PIXELS))
        painted[top:bottom, left:right] = 1
        shares = painted.reshape(rows, PIXELS // rows, columns, PIXELS // columns).mean((1, 3))
        np.testing.assert_allclose(cells.view(rows, columns), shares, atol=1e-9)


def test_uniform_map_has_the_area_share() -> None:
    boxes = random_boxes(20)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    mass = (torch.full((20, 12), 1 / 12).double() * covered(boxes, GRID)).sum(-1)
    torch.testing.assert_close(mass, area)


@pytest.mark.parametrize(
    ("box", "inside", "near"),
    [
        ((0.5, 0.34, 0.74, 0.6), 1, 1),  # cell (1, 2) has its centre at (0.625, 0.5)
        ((0.63, 0.34, 0.9, 0.6), 0, 1),  # right of the centre
        ((0.5, 0.55, 0.74, 0.9), 0, 1),  # below it
        ((0.5, 0.67, 0.74, 0.9), 0, 0),  # the cell below
        ((0.76, 0.34, 0.9, 0.6), 0, 0),  # the cell to the right
        ((0.34, 0.5, 0.6, 0.74), 0, 1),  # the first box with x and y exchanged
    ],
)
def test_peak_in_a_box(box: Box, inside: int, near: int) -> None:
    placed = placements([PlacedWord("shape", 0, one_hot(1 * 4 + 2), box)], GRID)["shape"]
    assert (placed.pointing.model, placed.near.model) == (inside, near)


def test_equally_high_cells_share_the_peak() -> None:
    boxes = random_boxes(20)
    uniform = torch.full((20, 12), 1 / 12, dtype=torch.float64)
    for region in (holds_centre(boxes, GRID), touched(boxes, GRID)):
        torch.testing.assert_close((peaks(uniform) * region).sum(-1), region.mean(-1))


def test_peak_is_all_there_is_of_a_map() -> None:
    maps = random_maps(9)
    torch.testing.assert_close(peaks(maps), torch.stack([one_hot(int(m.argmax())) for m in maps]))


def test_other_images_maps_are_averaged() -> None:
    maps, image = random_maps(6), torch.tensor([0, 2, 0, 2, 2, 5])
    expected = torch.stack([maps[image != i].mean(0) for i in image])
    torch.testing.assert_close(of_other_images(maps, image), expected)
    assert of_other_images(maps[:2], torch.tensor([1, 1])).isnan().all()


def test_entropy() -> None:
    halves = (one_hot(3) + one_hot(8)) / 2
    maps = torch.stack([torch.full((12,), 1 / 12).double(), one_hot(5), halves])
    expected = torch.tensor([1, 0, math.log(2) / math.log(12)], dtype=torch.float64)
    torch.testing.assert_close(normalized_entropy(maps), expected)


def test_moved_and_apart() -> None:
    a, b, halves = one_hot(0), one_hot(1), (one_hot(0) + one_hot(1)) / 2
    torch.testing.assert_close(moved(torch.stack([a, a, b, halves])), torch.tensor([0, 1, 0.5]).double())
    torch.testing.assert_close(apart(torch.stack([a, b])), torch.tensor([0.5, 0.5]).double())
    assert len(moved(a[None])) == 0 and float(apart(a[None])) == 0


# --- chance ---------------------------------------------------------------------------------------


def test_shuffled_maps_point_elsewhere() -> None:
    left, right = (0.0, 0.0, 0.25, 1.0), (0.75, 0.0, 1.0, 1.0)
    sights = [PlacedWord("shape", 0, one_hot(4), left), PlacedWord("shape", 1, one_hot(7), right)]
    placed = placements(sights, GRID)["shape"]
    assert placed.words == 2
    for found in (placed.pointing, placed.near, placed.mass):
        assert asdict(found) == pytest.approx({"model": 1, "uniform": 0.25, "shuffled": 0})


def test_a_model_that_always_looks_at_one_place_is_no_better_than_shuffled() -> None:
    boxes = random_boxes(8).tolist()
    sights = [PlacedWord("shape", i, one_hot(6), tuple(box)) for i, box in enumerate(boxes)]  # type: ignore[arg-type]
    placed = placements(sights, GRID)["shape"]
    assert placed.mass.shuffled == pytest.approx(placed.mass.model)
    assert placed.pointing.shuffled == pytest.approx(placed.pointing.model)


def test_classes_are_apart_and_together() -> None:
    box = (0.0, 0.0, 0.25, 1.0)
    sights = [PlacedWord("shape", 0, one_hot(0), box), PlacedWord("colour", 0, one_hot(1), box)]
    placed = placements(sights, GRID)
    assert {kind: (p.words, p.mass.model) for kind, p in placed.items()} == {
        "colour": (1, 0),
        "shape": (1, 1),
        "all": (2, 0.5),
    }
    assert placed["all"].mass.shuffled is None  # there is no other image
    assert placements([], GRID) == {}


# --- coordinates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("size", [(200, 100), (90, 180), (120, 120)])
def test_box_falls_where_the_frame_shows_it(resize: str, size: tuple[int, int]) -> None:
    preprocess = Preprocess(60, resize)
    box = (0.4 * size[0], 0.45 * size[1], 0.55 * size[0], 0.6 * size[1])
    photo = Image.new("RGB", size)
    left, top, right, bottom = (round(v) for v in box)
    ImageDraw.Draw(photo).rectangle((left, top, right - 1, bottom - 1), "white")
    bright = np.asarray(preprocess.frame(photo).convert("L")) >= 128
    ys, xs = bright.nonzero()
    seen = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    assert [60 * v for v in preprocess.place(box, size)] == pytest.approx(seen, abs=1)


def test_what_is_cropped_away_is_cut_off() -> None:
    preprocess = Preprocess(60, "crop")  # sees x from 50 to 150
    assert preprocess.place((0, 20, 100, 40), (200, 100)) == pytest.approx((0, 0.2, 0.5, 0.4))
    left, _, right, _ = preprocess.place((0, 20, 40, 40), (200, 100))
    assert left == right


def test_scenes_boxes_hold_the_colour_that_is_named() -> None:
    preprocess, grid = Preprocess(48, "crop"), (48, 48)  # another size than the scenes' 32
    for record in tiny.records():
        photo = record.source()  # type: ignore[operator]
        pixels = np.asarray(preprocess.frame(photo), float)
        for named in (n for n in named_in_reference(record, 0) if n.kind == "colour"):
            colour = COLOURS[record.captions[0].split()[named.word]]
            is_it = (abs(pixels - colour).max(-1) < 12).ravel()
            place = preprocess.place(named.box, photo.size)
            cells = touched(torch.tensor([place]), grid)[0].bool().numpy()
            assert is_it.any() and not is_it[~cells].any()


# --- what is named --------------------------------------------------------------------------------

RED, BLUE, GREEN = ((x, 0.0, x + 5, 5.0) for x in (0.0, 10.0, 20.0))
REFERENCE = "a small red star is above a large blue star and a small green circle"


@pytest.fixture
def record() -> Record:
    found = []
    for i, word in enumerate(REFERENCE.split()):
        box = RED if i < 5 else BLUE if i < 10 else GREEN
        for kind, words in (
            ("size", "small large"),
            ("colour", "red blue green"),
            ("shape", "star circle square"),
        ):
            if word in words.split():
                found.append(Grounding(0, i, kind, box))
    return Record("1", Path("1.png"), (REFERENCE,), tuple(found))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a red star", {1: RED, 2: RED}),
        ("a large star", {1: BLUE, 2: BLUE}),
        ("a circle", {1: GREEN}),
        ("a star", {}),  # there are two
        ("a red circle", {}),  # there is none
        ("a yellow star", {}),  # yellow is of no class here, but see below
        ("small red star above green circle", {0: RED, 1: RED, 2: RED, 4: GREEN, 5: GREEN}),
        ("", {}),
    ],
)
def test_an_object_is_named_without_doubt(record: Record, caption: str, expected: dict[int, Box]) -> None:
    yellow = Record("2", Path("2.png"), ("yellow",), (Grounding(0, 0, "colour", BLUE),))
    kinds = word_kinds([record, yellow])
    named = named_in_caption(caption.split(), record, kinds)
    assert {n.word: n.box for n in named} == expected
    assert all(n.kind == kinds[caption.split()[n.word]] for n in named)


def test_references_name_what_the_data_says(record: Record) -> None:
    words = REFERENCE.split()
    assert [words[n.word] for n in named_in_reference(record, 0)] == [
        *("small", "red", "star", "large", "blue", "star", "small", "green", "circle")
    ]
    assert named_in_reference(record, 1) == []
    assert named_in_caption(words, record, word_kinds([record])) == [
        Named(g.word, g.kind, g.box) for g in record.groundings
    ]


# --- the report -----------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluateConfig:
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: coco.Scores({}, "captioner"))
    run = RunConfig("cpu", workers=0, cache=str(tmp_path / "cache"), progress=False, compile=False)
    search = SearchConfig(beam_size=2, max_length=8)
    return EvaluateConfig(tiny.SCENES, search, run, str(tiny.model_file()), grounding=True)


def test_report_is_of_the_captions_and_the_references(config: EvaluateConfig) -> None:
    report = evaluate(config).grounding
    assert report is not None
    records = tiny.records()
    for kind, placed in report.references.items():
        every = [g for record in records for g in record.groundings if kind in (g.kind, "all")]
        assert placed.words == len(every)
        area = np.mean([(g.box[2] - g.box[0]) * (g.box[3] - g.box[1]) / 32**2 for g in every])
        assert placed.mass.uniform == pytest.approx(area)
    assert report.references.keys() == {"colour", "shape", "size", "all"}
    for placed in (*report.references.values(), *report.captions.values()):
        for found in (placed.pointing, placed.near, placed.mass):
            assert all(0 <= value <= 1 for value in asdict(found).values() if value is not None)
        assert placed.pointing.model <= placed.near.model
    assert report.deletion.images == len(records)
    assert 0 < report.entropy <= 1 and 0 <= report.moved <= 1 and 0 <= report.apart <= 1


def test_report_is_the_same_again_and_in_other_batches(config: EvaluateConfig) -> None:
    first, again, batches = (evaluate(replace(config, batch_size=size)).grounding for size in (8, 8, 3))
    assert first == again
    assert first is not None and batches is not None
    assert batches.deletion.attended == pytest.approx(first.deletion.attended, abs=1e-4)
    assert batches.deletion.random == pytest.approx(first.deletion.random, abs=1e-4)
    assert batches.references["all"].mass.model == pytest.approx(first.references["all"].mass.model)


def test_another_seed_deletes_other_random_locations(config: EvaluateConfig) -> None:
    few = replace(config, deletion_images=4)
    first, other = (evaluate(replace(few, deletion_seed=seed)).grounding for seed in (0, 1))
    assert first is not None and other is not None
    assert first.deletion.images == other.deletion.images == 4
    assert first.deletion.random != other.deletion.random


def test_data_without_boxes_has_the_rest_of_the_report(config: EvaluateConfig, tmp_path: Path) -> None:
    table = write_scenes(tiny.SCENES, "test", tmp_path / "scenes")
    data = TableConfig(root=str(table.parent), test=str(table))
    with_boxes, without = (evaluate(replace(config, data=d)).grounding for d in (config.data, data))
    assert with_boxes is not None and without is not None
    assert (without.captions, without.references, without.identified) == ({}, {}, None)
    assert without.entropy == pytest.approx(with_boxes.entropy)
    assert "pointing" not in "\n".join(as_lines(without))
    assert len(grounding_figure(without).axes) == 2  # mosaics, deletion
    assert len(grounding_figure(replace(without, mosaics=None)).axes) == 1


def test_command_prints_and_writes_the_report(
    config: EvaluateConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # so untrained a model names other things
    monkeypatch.setattr("captioner.kernels.precision.has_bf16", lambda device: False)
    few = [o for o in tiny.OVERRIDES if o.startswith(("data", "run", "search"))]
    out = tmp_path / "out"
    where = [f"checkpoint={config.checkpoint}", f"run.cache={config.run.cache}", f"output={out}"]
    assert run([*few, *where, "grounding=true"]) == 0
    printed = capsys.readouterr().out
    assert "deleting locations" in printed and "grounding.png" in printed
    written = json.loads((out / "scores.json").read_text())["grounding"]
    assert written.keys() == {
        *("captions", "identified", "references", "entropy", "moved", "apart", "deletion", "deletion_seed"),
        *("mosaics", "field"),
    }
    colour = written["references"]["colour"]
    assert colour.keys() == {"words", "pointing", "near", "mass"}
    assert colour["mass"].keys() == {"model", "uniform", "shuffled"}
    deletion = written["deletion"]
    assert all(
        len(deletion[key]) == len(deletion["shares"]) for key in ("attended", "random", "ratio", "interval")
    )
    kept, named = tmp_path / "kept.safetensors", ["--scores", str(out), "--output"]
    assert average([str(config.checkpoint), *named, str(kept)]) == 0
    figures, mosaics, field = load_checkpoint(kept).grounding, written["mosaics"], written["field"]
    low, high = mosaics["peak"]["interval"]
    assert (figures["peak"], figures["peak_from"], figures["peak_to"]) == (
        mosaics["peak"]["model"],
        low,
        high,
    )
    assert (figures["chance"], figures["alone"]) == (0.25, mosaics["alone"])
    assert {name: figures[name] for name in field if name != "images"} == {
        name: value for name, value in field.items() if name != "images"
    }
    with Image.open(out / "grounding.png") as figure:
        assert figure.format == "PNG" and figure.width > 2 * figure.height
    run([*few, *where, "overwrite=true"])
    assert "grounding" not in json.loads((out / "scores.json").read_text())
