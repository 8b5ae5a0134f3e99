"""A small caption file of every format, and the configuration that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from captioner.config.data import CocoConfig, DataConfig, Flickr8kConfig, KarpathyConfig, TableConfig

Rows = list[tuple[str, str]]  # image and caption
Writer = Callable[[Path, Rows], tuple[DataConfig, Path]]  # -> what reads them, and the caption file


def flickr8k(folder: Path, rows: Rows) -> tuple[DataConfig, Path]:
    path = folder / "Flickr8k.token.txt"
    lines = [f"{name}#{i}\t{caption}" for i, (name, caption) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "Flickr_8k.trainImages.txt").write_text("\n".join(dict.fromkeys(name for name, _ in rows)))
    return Flickr8kConfig(root=str(folder), images="."), path


def karpathy(folder: Path, rows: Rows) -> tuple[DataConfig, Path]:
    path = folder / "dataset.json"
    names = list(dict.fromkeys(name for name, _ in rows))
    captions = {name: [{"raw": text} for other, text in rows if other == name] for name in names}
    images = [{"filename": name, "split": "train", "sentences": captions[name]} for name in names]
    path.write_text(json.dumps({"images": images}, ensure_ascii=False), encoding="utf-8")
    return KarpathyConfig(file=str(path), images=str(folder)), path


def coco(folder: Path, rows: Rows) -> tuple[DataConfig, Path]:
    path = folder / "train.json"
    ids = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in rows))}
    content = {
        "images": [{"id": number, "file_name": name} for name, number in ids.items()],
        "annotations": [{"image_id": ids[name], "caption": text} for name, text in rows],
    }
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return CocoConfig(root=str(folder), train="train.json", train_images="."), path


def jsonl(folder: Path, rows: Rows) -> tuple[DataConfig, Path]:
    path = folder / "train.jsonl"
    lines = [json.dumps({"image": name, "caption": text}, ensure_ascii=False) for name, text in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return TableConfig(root=str(folder), train=str(path)), path


def csv(folder: Path, rows: Rows) -> tuple[DataConfig, Path]:
    path = folder / "train.csv"
    lines = [",".join(f'"{value}"' for value in row) for row in [("image", "caption"), *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return TableConfig(root=str(folder), train=str(path)), path


WRITERS: tuple[Writer, ...] = (flickr8k, karpathy, coco, jsonl, csv)
ROWS = [("a.jpg", "A dog."), ("a.jpg", "Ein Hündchen."), ("b.jpg", "A cat.")]
