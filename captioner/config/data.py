"""Where captions and images come from, and the words that are counted in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from captioner.config.declare import LARGEST_SEED, REQUIRED, value


@dataclass
class VocabularyConfig:
    """Which words the model knows."""

    unit: str = value(
        "word",
        "units of a caption; character for scripts without spaces",
        among=("word", "character"),
    )
    min_count: int = value(5, "how often a word must occur in the training captions", low=1)
    max_size: int | None = value(None, "number of words that are kept, the most frequent; null: all", low=1)


@dataclass
class DataConfig:
    """A dataset."""

    name: str = value(REQUIRED, "format of the data", group="data")


@dataclass
class ScenesConfig(DataConfig):
    """Generated scenes of coloured shapes: nothing to download."""

    name: str = value("scenes", "generated scenes", group="data")
    train: int = value(3000, "images of the training split", low=1, high=10**6)
    val: int = value(300, "images of the validation split", low=1, high=10**6)
    test: int = value(300, "images of the test split", low=1, high=10**6)
    seed: int = value(0, "other seeds give other scenes")
    image_size: int = value(64, "side in pixels", low=32, high=4096)


@dataclass
class FilesConfig(DataConfig):
    """A dataset in files."""

    skip_incomplete: bool = value(
        False,
        "leave out, and count, images without a file or caption or that cannot be decoded, and captions "
        "without image or words",
    )


@dataclass
class Flickr8kConfig(FilesConfig):
    """Flickr8k (Hodosh et al. 2013) in the files of its authors or of Kaggle, and what has their form."""

    name: str = value("flickr8k", "Flickr8k", group="data")
    root: str = value(
        REQUIRED,
        "folder with the captions, the lists of the splits and the image folder, which are below it",
        path=True,
    )
    captions: str | None = value(
        None, "caption file; null: Flickr8k.token.txt, or Kaggle's captions.txt", path=True
    )
    train: str | None = value(
        None, "list of the training split's images; null: Flickr_8k.trainImages.txt", path=True
    )
    val: str | None = value(
        None, "list of the validation split's images; null: Flickr_8k.devImages.txt", path=True
    )
    test: str | None = value(
        None, "list of the test split's images; null: Flickr_8k.testImages.txt", path=True
    )
    val_share: float = value(
        0.1, "share of the images that validates, where there is no list of any split", low=0.001, high=0.9
    )
    test_share: float = value(0.1, "share of the images that is the test split then", low=0, high=0.9)
    split_seed: int = value(0, "another seed draws other images for them", low=0, high=LARGEST_SEED)
    images: str | None = value(
        None,
        "image folder below root; null: images, Images, Flicker8k_Dataset or Flickr8k_Dataset",
        path=True,
    )


@dataclass
class KarpathyConfig(FilesConfig):
    """Flickr8k, Flickr30k or COCO with the splits of Karpathy & Fei-Fei (2015)."""

    name: str = value("karpathy", "Karpathy's splits", group="data")
    file: str = value(
        REQUIRED, "dataset_flickr8k.json, dataset_flickr30k.json or dataset_coco.json", path=True
    )
    images: str = value(
        REQUIRED, "image folder; for COCO the one that holds train2014 and val2014", path=True
    )
    restval: bool = value(True, "count COCO's restval images as training images, as is usual")


@dataclass
class CocoConfig(FilesConfig):
    """COCO captions (Chen et al. 2015), or any data in their JSON format."""

    name: str = value("coco", "COCO's JSON", group="data")
    root: str = value(REQUIRED, "folder that all the following are below", path=True)
    train: str = value("annotations/captions_train2017.json", "caption file of the training split", path=True)
    val: str = value("annotations/captions_val2017.json", "caption file of the validation split", path=True)
    test: str | None = value(None, "caption file of the test split; COCO publishes none", path=True)
    train_images: str = value("train2017", "image folder of the training split", path=True)
    val_images: str = value("val2017", "image folder of the validation split", path=True)
    test_images: str | None = value(None, "image folder of the test split", path=True)
    rejected: bool = value(False, "keep captions that reviewers rejected, as VizWiz marks them")


@dataclass
class TableConfig(FilesConfig):
    """Your own captions: a table or JSON with an image and a caption in every row."""

    name: str = value("table", "CSV, TSV or JSON", group="data")
    root: str = value(".", "folder that image paths are relative to", path=True)
    train: str | None = value(
        None, "file of the training split: .csv, .tsv, .txt (with a header), .jsonl or .json", path=True
    )
    val: str | None = value(None, "file of the validation split; or give val_share", path=True)
    test: str | None = value(None, "file of the test split; or give test_share", path=True)
    val_share: float = value(
        0.0, "share of the training file's images that validates instead, where val is null", low=0, high=0.9
    )
    test_share: float = value(
        0.0, "share of the training file's images that is the test split, where test is null", low=0, high=0.9
    )
    split_seed: int = value(0, "another seed draws other images for them", low=0, high=LARGEST_SEED)
    holdout: float = value(0.0, "an older name of val_share", low=0, high=0.9)
    image_column: str = value("image", "column, or JSON key, with the image path")
    caption_column: Any = value(
        "caption", "column, or JSON key, with the caption or a list of them; [A,B] for several"
    )
