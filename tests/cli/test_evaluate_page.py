"""The page of the best and the worst captions of an evaluation."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from support import tiny

from captioner.cli.main import main
from captioner.cli.output.extremes import extremes
from captioner.evaluation.evaluate import Evaluation
from captioner.metrics import coco


def evaluation(*values: float) -> Evaluation:
    return Evaluation({}, {}, {}, [], images=[{"BLEU-1": 0.5, "CIDEr": value} for value in values])


@pytest.mark.parametrize(
    ("values", "count", "best", "worst"),
    [
        ((0.1, 0.9, 0.5, 0.7, 0.3), 2, [1, 3], [0, 4]),
        ((0.1, 0.9, 0.5), 5, [1, 2], [0]),
        ((0.2, 0.2, 0.2), 1, [0], [2]),
        ((0.4,), 3, [0], []),
    ],
)
def test_extremes_are_the_ends_of_the_ranking(
    values: tuple[float, ...], count: int, best: list[int], worst: list[int]
) -> None:
    assert extremes(evaluation(*values), count) == ("CIDEr", best, worst)


def test_page_shows_them_with_attention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: coco.Scores({}, "captioner"))
    few = [o for o in tiny.OVERRIDES if o.startswith(("data.", "run."))]
    arguments = [
        f"checkpoint={tiny.model_file()}",
        *few,
        f"run.cache={tmp_path}",
        f"output={tmp_path / 'out'}",
    ]
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *arguments, "page=true", "page_images=2"])
    assert not caught.value.code
    images = [json.loads(line) for line in (tmp_path / "out" / "images.jsonl").read_text().splitlines()]
    ranked = sorted(images, key=lambda image: -image["scores"]["CIDEr-D"])
    page = (tmp_path / "out" / "page.html").read_text()
    named = re.findall(r"<li>(best|worst) (\d): CIDEr-D ([\d.]+), (\w+) - ([^<]*)</li>", page)
    expected = [
        (kind, str(place), f"{100 * image['scores']['CIDEr-D']:.1f}", image["image_id"], image["caption"])
        for kind, chosen in (("best", ranked[:2]), ("worst", ranked[:-3:-1]))
        for place, image in enumerate(chosen, 1)
    ]
    assert [row[:3] for row in named] == [row[:3] for row in expected]
    captions = {image["image_id"]: image["caption"] for image in images}
    assert all(captions[name] == text for *_, name, text in named)
    assert page.count('"attention":') == 4


def test_page_of_a_file_shows_references_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: coco.Scores({}, "captioner"))
    records = {r.image_id: r for r in tiny.records()}
    said = {name: r.captions[1] for name, r in records.items()} | {
        next(iter(records)): "<script>alert(1)</script>"
    }
    predictions = tmp_path / "said.json"
    predictions.write_text(json.dumps([{"image_id": name, "caption": said[name]} for name in said]))
    few = [o for o in tiny.OVERRIDES if o.startswith(("data.", "run."))]
    with pytest.raises(SystemExit) as caught:
        main(
            [
                *("evaluate", f"predictions={predictions}", *few, f"output={tmp_path / 'out'}"),
                *("page=true", "page_images=2"),
            ]
        )
    assert not caught.value.code
    images = [json.loads(line) for line in (tmp_path / "out" / "images.jsonl").read_text().splitlines()]
    ranked = sorted(images, key=lambda image: -image["scores"]["CIDEr-D"])
    page = (tmp_path / "out" / "page.html").read_text()
    articles = re.findall(r"<article>.*?</article>", page)
    for article, image in zip(articles, [*ranked[:2], *ranked[:-3:-1]], strict=True):
        assert f"{100 * image['scores']['CIDEr-D']:.1f}, {image['image_id']}<" in article
        assert f"<h2>{html.escape(image['caption'])}</h2>" in article
        assert re.findall("<li>(.*?)</li>", article) == list(records[image["image_id"]].captions)
        assert f"BLEU-1 {100 * image['scores']['BLEU-1']:.1f}" in article
        data = base64.b64decode(re.findall('base64,([^"]*)', article)[0])
        assert Image.open(io.BytesIO(data)).width > 1
    assert "<script>" not in page and "alert(1)" in page
