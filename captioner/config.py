"""The typed schema of every configuration group.

Dataclasses say which keys exist and of what type; the YAML files under ``conf/`` hold the values that a
command starts from. Names select from plain dictionaries at the place that builds the part, so a
configuration is plain data: loading one runs no code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REQUIRED = "???"  # omegaconf's mark for a value that the user must give
SEARCHED_TOGETHER = 64  # images; with fewer a search step's matrix products are small, and slower a row


# --- the model ---------------------------------------------------------------------------------------


@dataclass
class CellConfig:
    """Which recurrent cell the decoder runs on."""

    name: str = REQUIRED


@dataclass
class VanillaConfig(CellConfig):
    name: str = "vanilla"


@dataclass
class LSTMConfig(CellConfig):
    name: str = "lstm"
    forget_bias: float = 1.0  # initial bias of the forget gate (Jozefowicz et al. 2015)


@dataclass
class PeepholeConfig(LSTMConfig):
    name: str = "peephole"


@dataclass
class CoupledConfig(LSTMConfig):
    name: str = "coupled"


@dataclass
class GRUConfig(CellConfig):
    name: str = "gru"
    reset_after: bool = False  # true: the form of torch.nn.GRUCell


@dataclass
class AttentionConfig:
    """How the decoder looks at the image."""

    name: str = REQUIRED
    size: int = 512  # width of the scoring network
    penalty: float = 1.0  # lambda of the doubly stochastic penalty (section 4.2.1)


@dataclass
class SoftAttentionConfig(AttentionConfig):
    name: str = "soft"


@dataclass
class HardAttentionConfig(AttentionConfig):
    name: str = "hard"
    penalty: float = 0.0
    inference: str = "argmax"  # location at test time: argmax, expectation or sample
    expectation_probability: float = 0.5  # how often training replaces a sample by its expectation
    soft_start: float = 0.5  # share of the epochs, the first ones, in which it always does
    baseline_decay: float = 0.9
    reinforce_weight: float = 0.1  # lambda_r of section 4.1
    entropy_weight: float = 0.002  # lambda_e of section 4.1


@dataclass
class DecoderConfig:
    embedding_size: int = 512
    hidden_size: int = 512
    gate: str = "scalar"  # beta: none, scalar (the paper's) or vector
    deep_output: bool = True
    dropout: float = 0.5  # on the hidden state and the deep output
    input_dropout: float = 0.0  # on the word vectors and the annotations


@dataclass
class EncoderConfig:
    """Which network turns pixels into annotations, and what it wants the pixels to look like."""

    name: str = REQUIRED
    weights: str | None = None  # imagenet, a .safetensors or .pth state dict, or null
    image_size: int = 224
    resize: str = "crop"  # crop: the centre square; squash: the whole photo made square
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    fine_tune: Any = False  # false, or the name of the first stage that is trained
    last_stage: str | None = None  # whose output are the annotations; null: the network's last


@dataclass
class VocabularyConfig:
    unit: str = "word"  # word, or character for scripts without spaces
    min_count: int = 5
    max_size: int | None = None


@dataclass
class ModelConfig:
    """All that rebuilds a model, apart from its vocabulary and its weights."""

    encoder: EncoderConfig
    cell: CellConfig
    attention: AttentionConfig
    decoder: DecoderConfig


# --- data --------------------------------------------------------------------------------------------


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


# --- what a run does ---------------------------------------------------------------------------------


@dataclass
class PhaseConfig:
    """What is minimised."""

    name: str = "cross_entropy"


@dataclass
class SelfCriticalConfig(PhaseConfig):
    name: str = "self_critical"
    samples: int = 5  # captions an image
    baseline: str = "mean"  # mean: of an image's other samples; greedy: the paper's
    bleu_weight: float = 0.0  # of BLEU-4 beside CIDEr-D in the reward
    annotation_dropout: float = 0.0  # the same for an image's samples and their gradient
    temperature: float = 0.6  # of the distribution that is sampled and trained


@dataclass
class OptimizerConfig:
    name: str = "adamw"  # adam, adamw or rmsprop
    learning_rate: float = 1e-3
    encoder_learning_rate: float | None = None  # null: learning_rate from scratch, else a tenth
    weight_decay: float = 0.01


@dataclass
class TrainingConfig:
    epochs: int = 10
    seed: int = 0
    batch_size: int = 32  # images
    captions_per_image: int | None = None  # drawn anew each epoch; null: all
    warmup: float = 0.05  # share of all steps in which the learning rate rises
    schedule: str = "cosine"  # of the learning rate after warm-up: constant, linear or cosine
    clip_norm: float = 5.0
    label_smoothing: float = 0.1
    flip: float = 0.0  # share of images that are seen mirrored
    crop: float = 1.0  # least share of an image's rows, and of its columns, that a step sees; 1: all
    average: float = 0.0  # decay of the weights' moving average, which is then validated and kept; 0: none
    precision: str = "auto"  # fp32, bf16, or auto: bf16 where the hardware has it
    select: str = "BLEU-4"  # validation score that the best weights are chosen by: BLEU-4 or CIDEr-D
    patience: int = 5  # epochs without a better one before training stops; 0: never
    max_caption_length: int = 50  # words; longer training captions are cut
    save_minutes: float = 10.0  # how often the resume state is saved within an epoch; 0: never


@dataclass
class SearchConfig:
    strategy: str = "beam"  # greedy, beam or sample
    beam_size: int = 3
    max_length: int = 30  # words
    length_normalization: float = 0.7  # score = log_prob / words ** this
    block_ngrams: int = 0  # forbid repeating any n-gram of this size; 0: allow
    allow_unknown: bool = False  # may <unk> be generated?
    temperature: float = 1.0  # of sampling
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


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
