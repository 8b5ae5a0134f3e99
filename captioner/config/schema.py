"""The typed schema of every configuration group.

Dataclasses say which keys exist and of what type; the YAML files under ``conf/`` hold the values that a
command starts from. Names select from plain dictionaries at the place that builds the part, so a
configuration is plain data: loading one runs no code.
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
from captioner.config.model import (
    CoupledConfig,
    GRUConfig,
    HardAttentionConfig,
    LSTMConfig,
    ModelConfig,
    PeepholeConfig,
    SoftAttentionConfig,
    VanillaConfig,
)
from captioner.config.required import REQUIRED
from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.config.training import OptimizerConfig, PhaseConfig, SelfCriticalConfig, TrainingConfig


@dataclass
class RunConfig:
    """Where and on what a command runs."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    workers: int = 2  # threads that decode images; 0: none beside the one that computes
    cache: str | None = None  # null: $CAPTIONER_CACHE or ~/.cache/captioner
    compile: bool = True  # fuse the attention's loops with torch.compile, where a compiler is found
    progress: bool = True


@dataclass
class TrainConfig(ModelConfig):
    """``captioner train``."""

    vocabulary: VocabularyConfig
    data: DataConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    search: SearchConfig
    run: RunConfig
    phase: PhaseConfig = field(default_factory=PhaseConfig)
    output: str | None = None  # run folder; null: runs/DATE_TIME
    init: str | None = None  # run folder whose trained model this run starts from
    resume: str | None = None  # run folder to go on with


@dataclass
class CompareConfig(TrainConfig):
    """``captioner compare``: a training run, and what its repetitions differ in."""

    cells: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)  # a table each: width, parameters


@dataclass
class EvaluateConfig:
    """``captioner evaluate``."""

    data: DataConfig
    search: SearchConfig
    run: RunConfig
    checkpoint: Any = REQUIRED  # a model file or run folder, or a list of them for an ensemble
    split: str = "test"
    inference: str | None = None  # of hard attention: argmax, expectation or sample; null: the model's
    output: str | None = None  # folder for scores.json and captions.json
    batch_size: int = SEARCHED_TOGETHER
    grounding: bool = False  # measure whether the attention maps can be believed
    deletion_images: int = 1000  # images at the most that locations are deleted from
    deletion_seed: int = 0


@dataclass
class CheckConfig:
    """``captioner check``: of training and run only what concerns the data is used."""

    data: DataConfig
    vocabulary: VocabularyConfig
    training: TrainingConfig
    run: RunConfig
    output: str | None = None  # file for the report as JSON


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
