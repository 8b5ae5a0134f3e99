"""What the commands of the docs name, made small: photos, captions, Flickr8k, runs, weights, shards."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import save_file
from support.documented import ROOT
from torchvision import models

from captioner.config.data import ScenesConfig
from captioner.data.scenes.scenes import load_scenes

CHECKOUT = ("captioner", "scripts", "benchmarks", "tests", "conf", "docs", "pyproject.toml", "mkdocs.yml")
SPLITS = {"train": (0, 10), "dev": (10, 14), "test": (14, 18)}


def flickr8k(root: Path) -> None:
    """Generated scenes in the folders and files of Flickr8k's authors: five captions each, three lists."""
    scenes = load_scenes(ScenesConfig(test=18, image_size=64), "test")
    images = root / "Flicker8k_Dataset"
    images.mkdir(parents=True)
    captions = []
    for i, scene in enumerate(scenes):
        scene.source().save(images / f"{i}.jpg")  # type: ignore[operator]
        captions += [f"{i}.jpg#{n}\t{scene.captions[n % len(scene.captions)]} ." for n in range(5)]
    (root / "Flickr8k.token.txt").write_text("\n".join(captions))
    for split, (first, end) in SPLITS.items():
        listed = "\n".join(f"{i}.jpg" for i in range(first, end))
        (root / f"Flickr_8k.{split}Images.txt").write_text(listed)


def photos(folder: Path) -> None:
    """A few photos, alone and in folders, and tables of captions of theirs."""
    of_package = files("captioner.web").joinpath("photos")
    names = ("cat", "coffee", "hopper", "rocket")
    for to in ("photos", "holiday/beach"):
        (folder / to).mkdir(parents=True)
        for name in names:
            (folder / to / f"{name}.jpg").write_bytes(of_package.joinpath(f"{name}.jpg").read_bytes())
    shutil.copy(folder / "photos" / "cat.jpg", folder / "photo.jpg")
    said = {"train": names[:2], "val": names[2:3], "captions": names}
    for table, of in said.items():
        with open(folder / f"{table}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "caption"])
            for colour in ("red", "blue", "green"):
                rows.writerows([f"photos/{name}.jpg", f"a {colour} {name} on a table"] for name in of)


def shards(folder: Path) -> None:
    """Four tars of a photo each, and a list of the photos."""
    (folder / "shards").mkdir()
    taken = sorted((folder / "photos").iterdir())
    for number, photo in enumerate(taken):
        with tarfile.open(folder / "shards" / f"{number:05}.tar", "w") as tar:
            tar.add(photo, f"{number:06}.jpg")
    (folder / "all.txt").write_text("\n".join(f"photos/{photo.name}" for photo in taken))


def table_of_bytes(path: Path, photos: Path) -> None:
    """A Parquet file with the photos of a folder."""
    import pyarrow
    from pyarrow import parquet

    taken = sorted(photos.iterdir())
    rows = {"key": [photo.stem for photo in taken], "image": [photo.read_bytes() for photo in taken]}
    parquet.write_table(pyarrow.table(rows), path)


def weights(folder: Path) -> None:
    """Encoders' weights as they are drawn, and word vectors."""
    network = models.mobilenet_v2().state_dict()
    save_file(network, folder / "mobilenet_v2.safetensors")
    torch.save(models.resnet50().state_dict(), folder / "resnet50.pth")
    words = ("a", "red", "circle", "square", "above")
    lines = [" ".join([word, *(f"{i / 300:.3f}" for i in range(300))]) for word in words]
    (folder / "glove.6B.300d.txt").write_text("\n".join(lines))


def results(path: Path) -> None:
    """Captions of the dev split in COCO's results format."""
    first, end = SPLITS["dev"]
    path.write_text(
        json.dumps([{"image_id": f"{i}.jpg", "caption": "a red circle"} for i in range(first, end)])
    )


def checkout(folder: Path) -> None:
    """The folders of the project that commands name, as links: what is run there writes beside them."""
    for name in CHECKOUT:
        (folder / name).symlink_to(ROOT / name)
