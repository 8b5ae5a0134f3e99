"""The configuration of every command, and the schemas of the groups that come in several kinds.

The dataclasses declare every key; the YAML files under ``conf/`` hold what a choice changes. Names select
from plain dictionaries at the place that builds the part, so a configuration is plain data: loading one runs
no code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from captioner.config.data import (
    CocoConfig,
    DataConfig,
    Flickr8kConfig,
    KarpathyConfig,
    ScenesConfig,
    TableConfig,
    VocabularyConfig,
)
from captioner.config.declare import LARGEST_SEED, value
from captioner.config.model import (
    INFERENCE,
    CoupledConfig,
    DecoderConfig,
    EncoderConfig,
    GRUConfig,
    HardAttentionConfig,
    LSTMConfig,
    ModelConfig,
    PeepholeConfig,
    SoftAttentionConfig,
    VanillaConfig,
)
from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.config.training import (
    LARGEST_BATCH,
    OF_PRECISION,
    OptimizerConfig,
    PhaseConfig,
    SelfCriticalConfig,
    TrainingConfig,
)
from captioner.kernels import PRECISIONS
from captioner.vocabulary import UNITS

MOST_WORKERS = 1024
OVERWRITE = "replace files of the output that exist"


@dataclass
class RunConfig:
    """Where and on what a command runs."""

    device: str = value("auto", "auto, cpu, cuda, cuda:1, mps")
    workers: int = value(2, "threads that decode images; 0: the computing thread", low=0, high=MOST_WORKERS)
    cache: str | None = value(
        None, "folder of cached annotations; null: $CAPTIONER_CACHE or ~/.cache/captioner", path=True
    )
    index: str = value(
        "auto",
        "whether records and encoded captions of photos are memory-mapped from files below cache; auto: from "
        "a million images on, if pyarrow is installed",
        among=("auto", "always", "never"),
    )
    compile: bool = value(True, "fuse the attention's loops with torch.compile, where a compiler is found")
    progress: bool = value(True, "progress bars")


@dataclass
class TrainConfig(ModelConfig):
    """``captioner train``: train a captioner on images with captions."""

    vocabulary: VocabularyConfig
    data: DataConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    search: SearchConfig
    run: RunConfig
    phase: PhaseConfig = field(default_factory=PhaseConfig)
    output: str | None = value(None, "run folder; null: runs/DATE_TIME", path=True)
    init: str | None = value(
        None,
        "run folder whose model and configuration this run starts from; or a model file, or pretrained, "
        "whose model is adapted to other data, new words included",
        path=True,
    )
    resume: str | None = value(None, "run folder to resume", path=True)
    overwrite: bool = value(False, OVERWRITE)


@dataclass
class CompareConfig(TrainConfig):
    """``captioner compare``: a training run, and what its repetitions differ in."""

    cells: Any = value(
        ["vanilla", "lstm", "peephole", "coupled", "gru", "gru_reset_after"],
        "what is compared, lstm being the baseline; greff: the LSTM and the variants of Greff et al. 2017",
    )
    seeds: list[int] = value([0, 1, 2], "every cell is trained once with each", low=0, high=LARGEST_SEED)
    equal: list[str] = value(
        ["width", "parameters"],
        "a table each: the same hidden size, and the same number of weights",
        among=("width", "parameters"),
    )


@dataclass
class EncodeConfig(TrainConfig):
    """``captioner encode``: fill the annotation cache of a training run, on one machine or on many."""

    checkpoint: str | None = value(
        None,
        "a model.safetensors, or its run folder, whose encoder encodes; null: the one that training would "
        "start with",
        path=True,
    )
    splits: list[str] = value(["train", "val"], "what is encoded", among=("train", "val", "test"))


@dataclass
class EvaluateConfig:
    """``captioner evaluate``: caption a split, free-running, and score the captions."""

    data: DataConfig
    search: SearchConfig
    run: RunConfig
    checkpoint: Any = value(
        None,
        "a model.safetensors, or its run folder; [A,B,C] for an ensemble; needed without predictions",
        path=True,
    )
    split: str = value("test", "dev is another name of val", among=("train", "val", "dev", "test"))
    inference: str | None = value(
        None, "location that hard attention takes; null: as trained", among=INFERENCE
    )
    output: str | None = value(None, "folder for scores, captions and figures; null: print only", path=True)
    batch_size: int = value(SEARCHED_TOGETHER, "images at a time", low=1, high=LARGEST_BATCH)
    precision: str = value("auto", OF_PRECISION, among=PRECISIONS)
    grounding: bool = value(False, "also measure how far the attention maps can be believed")
    deletion_images: int = value(1000, "at most, for the part of it that deletes locations", low=1)
    deletion_seed: int = value(0, "of these images, of the random locations and of the mosaics")
    mosaics: int = value(
        250, "of four images each, at most, for the part of it that asks which of them a word looks at", low=0
    )
    overwrite: bool = value(False, OVERWRITE)
    predictions: str | None = value(
        None,
        "captions that are scored instead of a model's: COCO's results format (.json), .jsonl, .csv, what "
        "captioner caption wrote, or the output folder of captioner evaluate",
        path=True,
    )
    against: str | None = value(
        None,
        "other captions of the same images, to tell whether the difference is real: as predictions, or a "
        "model file or run folder",
        path=True,
    )
    missing: str = value(
        "refuse",
        "images without caption in predictions or against; empty: an empty caption, skip: leave them out",
        among=("refuse", "empty", "skip"),
    )
    unknown: str = value(
        "refuse",
        "captions in predictions or against of images that are not in the split",
        among=("refuse", "skip"),
    )
    unit: str = value("word", "what predictions are split into; a model knows its own", among=UNITS)
    page: bool = value(False, "also draw a page of the best and the worst captions, into the output")
    page_images: int = value(20, "of each, best and worst", low=1, high=1000)


@dataclass
class CheckConfig:
    """``captioner check``: read a whole dataset before training, and list what is wrong with it."""

    data: DataConfig
    vocabulary: VocabularyConfig
    training: TrainingConfig
    run: RunConfig
    output: str | None = value(None, "file for the whole report as JSON; null: print only", path=True)
    overwrite: bool = value(False, OVERWRITE)


SCHEMAS: dict[str, dict[str, type[Any]]] = {
    "cell": {
        "vanilla": VanillaConfig,
        "lstm": LSTMConfig,
        "peephole": PeepholeConfig,
        "coupled": CoupledConfig,
        "gru": GRUConfig,
    },
    "attention": {"soft": SoftAttentionConfig, "hard": HardAttentionConfig},
    "phase": {"cross_entropy": PhaseConfig, "self_critical": SelfCriticalConfig},
    "data": {
        "scenes": ScenesConfig,
        "flickr8k": Flickr8kConfig,
        "karpathy": KarpathyConfig,
        "coco": CocoConfig,
        "table": TableConfig,
    },
}

SINGLE: dict[str, type[Any]] = {  # groups whose choices all have one schema
    "decoder": DecoderConfig,
    "encoder": EncoderConfig,
    "optimizer": OptimizerConfig,
    "run": RunConfig,
    "search": SearchConfig,
    "training": TrainingConfig,
    "vocabulary": VocabularyConfig,
}
COMMANDS: dict[str, type[Any]] = {
    "train": TrainConfig,
    "encode": EncodeConfig,
    "evaluate": EvaluateConfig,
    "compare": CompareConfig,
    "check": CheckConfig,
}
