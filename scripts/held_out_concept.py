"""Adaptation shown by a concept that a model has never seen: bicycles.

    data="data=table data.root=FLICKR8K/images"
    python scripts/held_out_concept.py tables FLICKR8K DIR
    captioner train experiment=flickr8k_best $data data.train=DIR/without.csv \\
        data.val=DIR/dev.csv output=DIR/without
    captioner train init=DIR/without/model.safetensors $data data.train=DIR/concept.csv output=DIR/adapted
    for model in without adapted; do
        captioner evaluate checkpoint=DIR/$model $data data.test=DIR/dev.csv output=DIR/$model-dev
        captioner evaluate checkpoint=DIR/$model $data data.test=DIR/rest.csv output=DIR/$model-rest
        python scripts/held_out_concept.py recall DIR DIR/$model-dev/captions.json
    done

``tables`` writes the training split without any photo of which a caption names one, a hundred photos of which
most captions do, the development split, and its photos that none names. ``recall`` counts on how many
of the development photos of which most captions name one the model does, and how often elsewhere.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from captioner.config.data import Flickr8kConfig
from captioner.data.load import load_split
from captioner.data.records import Record
from captioner.vocabulary import tokenize

WORDS = {
    "bike",
    "bikes",
    "bicycle",
    "bicycles",
    "cyclist",
    "cyclists",
    "biker",
    "bikers",
    "biking",
    "bicyclist",
}
MOST = 3  # captions of five
PHOTOS = 100


def named(captions: tuple[str, ...] | list[str]) -> int:
    """How many captions have a word of the concept."""
    return sum(bool(WORDS & set(tokenize(caption))) for caption in captions)


def write(records: list[Record], path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        rows.writerows([Path(str(r.source)).name, caption] for r in records for caption in r.captions)
    print(f"{path}: {len(records)} photos")


def tables(root: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    train, dev = (load_split(Flickr8kConfig(root=root), split) for split in ("train", "dev"))
    write([r for r in train if not named(r.captions)], folder / "without.csv")
    write([r for r in train if named(r.captions) >= MOST][:PHOTOS], folder / "concept.csv")
    write(dev, folder / "dev.csv")
    write([r for r in dev if not named(r.captions)], folder / "rest.csv")


def recall(folder: Path, captions: Path) -> None:
    references: dict[str, list[str]] = {}
    with (folder / "dev.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            references.setdefault(row["image"], []).append(row["caption"])
    said = {str(entry["image_id"]): named([entry["caption"]]) for entry in json.loads(captions.read_text())}
    having = [image for image, texts in references.items() if named(texts) >= MOST]
    lacking = [image for image, texts in references.items() if not named(texts)]
    print(f"named on {sum(said[i] for i in having)} of {len(having)} photos that have it", end=", ")
    print(f"on {sum(said[i] for i in lacking)} of {len(lacking)} that have not")


if __name__ == "__main__":
    if sys.argv[1:2] == ["tables"] and len(sys.argv) == 4:
        tables(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["recall"] and len(sys.argv) == 4:
        recall(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(__doc__)
