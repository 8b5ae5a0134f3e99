"""What a training run does."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.config.declare import LARGEST_SEED, value
from captioner.kernels import PRECISIONS
from captioner.metrics.table import selectable

LARGEST_BATCH = 2**16
OF_PRECISION = "of matrix products; auto: bf16 where the hardware has it"


@dataclass
class PhaseConfig:
    """The likelihood of the reference captions."""

    name: str = value("cross_entropy", "what is minimized", group="phase")


@dataclass
class SelfCriticalConfig(PhaseConfig):
    """Self-critical sequence training on CIDEr-D (Rennie et al. 2017), from a trained run: init=RUN."""

    name: str = value("self_critical", "what is minimized", group="phase")
    samples: int = value(5, "captions sampled per image", low=1, high=1000)
    baseline: str = value(
        "mean",
        "reward of the other samples, or of the greedy caption (the paper's)",
        among=("mean", "greedy"),
    )
    bleu_weight: float = value(0.0, "weight of BLEU-4 beside CIDEr-D in the reward", low=0)
    annotation_dropout: float = value(
        0.0, "on the annotations, the same for an image's samples and their gradient", low=0, high=0.99
    )
    temperature: float = value(
        0.6, "of the distribution that is sampled and trained; 1 without label smoothing", low=0.01, high=100
    )


@dataclass
class OptimizerConfig:
    """The optimizer, and its learning rates."""

    name: str = value("adamw", "optimizer", group="optimizer")
    learning_rate: float = value(1e-3, "of the decoder", low=1e-12)
    encoder_learning_rate: float | None = value(
        None, "of the encoder's trained stages; null: a tenth of it, or the same from scratch", low=0
    )
    weight_decay: float = value(0.01, "of matrices; vectors have none", low=0)
    new_words_learning_rate: float | None = value(
        None, "of what belongs to the words that an adapted model gains; null: the decoder's", low=1e-12
    )


@dataclass
class TrainingConfig:
    """How long and on what batches a run trains, and which weights it keeps."""

    epochs: int = value(10, "passes over the training images", low=1)
    seed: int = value(0, "of weights, batches and sampling", low=0, high=LARGEST_SEED)
    batch_size: int = value(32, "images per step", low=1, high=LARGEST_BATCH)
    accumulate: int = value(
        1, "parts in which a step works on its batch, for less memory", low=1, high=LARGEST_BATCH
    )
    captions_per_image: int | None = value(None, "drawn anew in each epoch; null: all", low=1)
    warmup: float = value(0.05, "share of all steps in which the learning rate rises", low=0, high=1)
    schedule: str = value(
        "cosine", "of the learning rate after warm-up", among=("constant", "linear", "cosine")
    )
    clip_norm: float = value(5.0, "largest gradient norm; 0: not clipped", low=0)
    label_smoothing: float = value(
        0.1, "share of the target probability that is spread over all words", low=0, high=0.99
    )
    flip: float = value(0.0, "share of images that are mirrored", low=0, high=1)
    crop: float = value(
        1.0, "least share of an image's rows, and of its columns, that a step sees; 1: all", low=0.01, high=1
    )
    mosaics: float = value(
        0.0, "share of batches whose photos are shown four in one, each with its captions", low=0, high=1
    )
    mosaic_guidance: float = value(
        0.5, "weight of -log of the attention's mass on the caption's own photo of a mosaic", low=0
    )
    teachers: list[str] | None = value(
        None,
        "model files or run folders whose expectation of every word is learned beside it, with cross_entropy",
        path=True,
    )
    teacher_weight: float = value(0.5, "of that in the likelihood, from 0 to 1", low=0, high=1)
    average: float = value(
        0.0, "decay of the weights' moving average, which is validated and kept; 0: none", low=0, high=0.99999
    )
    precision: str = value("auto", OF_PRECISION, among=PRECISIONS)
    select: str = value("BLEU-4", "validation score that the best weights are chosen by", among=selectable)
    patience: int = value(5, "epochs without a better score before training stops; 0: never", low=0)
    max_caption_length: int = value(50, "words; longer training captions are cut", low=1)
    save_minutes: float = value(10.0, "how often the resume state is saved within an epoch; 0: never", low=0)
