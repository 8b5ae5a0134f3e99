"""Where captions and images come from, and the words that are counted in them."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.config.required import REQUIRED


@dataclass
class VocabularyConfig:
    unit: str = "word"  # word, or character for scripts without spaces
    min_count: int = 5
    max_size: int | None = None


@dataclass
class DataConfig:
    name: str = REQUIRED


@dataclass
class ScenesConfig(DataConfig):
    name: str = "scenes"
    train: int = 3000  # images a split
    val: int = 300
    test: int = 300
    seed: int = 0
    image_size: int = 64  # pixels


@dataclass
class Flickr8kConfig(DataConfig):
    name: str = "flickr8k"
    root: str = REQUIRED
    images: str | None = None  # folder below root; null: looked for under its usual names


@dataclass
class KarpathyConfig(DataConfig):
    name: str = "karpathy"
    file: str = REQUIRED  # dataset_flickr8k.json, dataset_flickr30k.json or dataset_coco.json
    images: str = REQUIRED  # image folder (for coco the folder that holds train2014 and val2014)
    restval: bool = True  # count COCO's restval images as training images, as is usual


@dataclass
class CocoConfig(DataConfig):
    name: str = "coco"
    root: str = REQUIRED
    train: str = "annotations/captions_train2017.json"
    val: str = "annotations/captions_val2017.json"
    test: str | None = None
    train_images: str = "train2017"
    val_images: str = "val2017"
    test_images: str | None = None


@dataclass
class TableConfig(DataConfig):
    name: str = "table"
    root: str = "."  # image paths are relative to it
    train: str | None = None  # .csv or .jsonl, a row an image and caption
    val: str | None = None
    test: str | None = None
    image_column: str = "image"
    caption_column: str = "caption"
