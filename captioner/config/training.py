"""What a training run does."""

from __future__ import annotations

from dataclasses import dataclass


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
