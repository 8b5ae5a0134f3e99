"""The smallest run there is: a few scenes, narrow layers, a fraction of a second an epoch."""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import torch

from captioner.config.data import ScenesConfig, VocabularyConfig
from captioner.config.model import CellConfig, DecoderConfig, EncoderConfig, LSTMConfig, SoftAttentionConfig
from captioner.config.schema import RunConfig, TrainConfig
from captioner.config.search import SearchConfig
from captioner.config.training import OptimizerConfig, TrainingConfig
from captioner.data.load import load_split
from captioner.data.records import Record
from captioner.kernels.compiler import use_compiler
from captioner.training.loop import train
from captioner.training.run_folder import MODEL_FILE

# Layers this narrow are only slowed down by compiled kernels and by threads that wait for each other.
use_compiler(False)
torch.set_num_threads(1)

OVERRIDES = (  # what config() says, for the command line
    "data.train=16",
    "data.val=8",
    "data.test=8",
    "data.image_size=32",
    "encoder.image_size=32",
    "attention.size=16",
    "decoder.embedding_size=16",
    "decoder.hidden_size=16",
    "decoder.dropout=0.1",
    "vocabulary.min_count=1",
    "optimizer.learning_rate=0.01",
    "training.epochs=1",
    "training.batch_size=4",
    "training.precision=fp32",
    "search.beam_size=2",
    "search.max_length=8",
    "run.device=cpu",
    "run.workers=0",
    "run.compile=false",
    "run.progress=false",
)
SCENES = ScenesConfig(train=16, val=8, test=8, image_size=32)


def config(folder: Path, cell: CellConfig | None = None, **training: object) -> TrainConfig:
    """A run whose features are cached below ``folder``."""
    return TrainConfig(
        encoder=EncoderConfig("small", None, 32, "crop", [0.5] * 3, [0.25] * 3, True),
        cell=cell or LSTMConfig(),
        attention=SoftAttentionConfig(size=16),
        decoder=DecoderConfig(16, 16, dropout=0.1),
        vocabulary=VocabularyConfig(min_count=1),
        data=SCENES,
        optimizer=OptimizerConfig(learning_rate=0.01),
        training=replace(TrainingConfig(epochs=1, batch_size=4, precision="fp32"), **training),
        search=SearchConfig(beam_size=2, max_length=8),
        run=RunConfig("cpu", workers=0, cache=str(folder / "cache"), progress=False, compile=False),
    )


def silent(_: str) -> None:
    """Takes a report and says nothing."""


def records(split: str = "test") -> list[Record]:
    return load_split(SCENES, split)


def write_photos(folder: Path, names: Iterable[str]) -> Path:
    """The first scenes as ``NAME.png`` in a folder that is made, which is returned."""
    for name, record in zip(names, records()):
        assert callable(record.source)
        (path := folder / f"{name}.png").parent.mkdir(parents=True, exist_ok=True)
        record.source().save(path)
    return folder


@cache
def model_file() -> Path:
    """A model that says something else of every few scenes, made once for all tests: do not change it."""
    folder = Path(mkdtemp(prefix="captioner-tests-"))
    atexit.register(rmtree, folder)
    run = config(folder, epochs=12, batch_size=4, schedule="constant", label_smoothing=0.0, patience=0)
    run.decoder, run.attention.size = DecoderConfig(32, 32, dropout=0.0), 32
    run.optimizer.learning_rate = 0.015
    train(run, folder / "run", report=silent)
    return folder / "run" / MODEL_FILE
