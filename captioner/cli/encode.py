"""``captioner encode [KEY=VALUE ...] [--shards I/N] [--ray auto|local]``."""

from __future__ import annotations

import argparse
import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig

from captioner.cli.parsing import Parser
from captioner.cli.schedule import add_schedule, do_shards, share_of
from captioner.config.compose import run_command
from captioner.config.places import absolute
from captioner.config.run_data import with_data_of_run
from captioner.config.schema import EncodeConfig, TrainConfig
from captioner.errors import CaptionerError

if TYPE_CHECKING:
    from captioner.bulk.encode import Settings

OWN = ("checkpoint", "splits")  # keys that training does not have


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The options beside KEY=VALUE."""
    add_schedule(parser, "encode")
    parser.add_argument("--output", metavar="DIR", help="folder of caches, which training takes as run.cache")


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration of a training run and encode its images, or a share of them."""
    parser = Parser("encode", "Fill the annotation cache.", add_help=False)
    add_flags(parser)
    options, given = parser.parse_known_args(list(arguments))
    share, shares = share_of(options)
    if options.output is not None:
        given.append(f"run.cache={options.output}")
    given = with_data_of_run("encode", given)
    run_command("encode", EncodeConfig, lambda config: _encode(config, options, share, shares), given)
    return 0


def _encode(config: EncodeConfig, options: Namespace, share: int, shares: int) -> None:
    # not before the configuration is known to be right: torch alone takes seconds
    from captioner.bulk.encode import builds_of, shards_of
    from captioner.bulk.encode_job import EncodeJob
    from captioner.features.cache import completed, remove_abandoned, remove_empty
    from captioner.system.atomic_files import make_folder
    from captioner.system.device import keep_memory

    keep_memory()
    notes: list[str] = []
    settings = _settings(config)
    builds = builds_of(settings, notes)
    for note in notes:
        print(note)
    settings = replace(settings, keys=[build.key for build in builds])
    shards, unfinished = shards_of(builds), set()
    for part, build in enumerate(builds):
        if build.opened() is None:
            make_folder(build.place, "run.cache")
            unfinished |= {(part, number) for number in build.remaining()}
    mine = range(share, len(shards), shares)
    numbers = [n for n in mine if (shards[n].part, shards[n].number) in unfinished]
    photos = sum(builds[shards[n].part].size(shards[n].number) for n in numbers)
    encoded = 0
    try:
        for done in do_shards(EncodeJob(settings, shards), numbers, options, photos, config.run.progress):
            encoded += done.images
        left = sum(len(build.remaining()) for build in builds if build.opened() is None)
        for build in builds if not left else ():
            completed(build, progress=config.run.progress)
    finally:
        remove_abandoned(Path(settings.folder))
        for build in builds:
            remove_empty(build.place)
    told = [f"{encoded:,} images encoded"] if numbers else []
    told += [f"{len(mine) - len(numbers):,} of {len(mine):,} shards were there"] * (len(mine) > len(numbers))
    told += [f"{left:,} are missing that other commands encode" if left else "nothing is missing"]
    print(f"annotations: {settings.folder} ({', '.join(told)})")


def _settings(config: EncodeConfig) -> Settings:
    from captioner.bulk.encode import Settings
    from captioner.checkpoint.file import load_checkpoint
    from captioner.checkpoint.pretrained import NAME, model_path
    from captioner.features.cache import cache_folder
    from captioner.model.timm_networks import settled
    from captioner.training.saved_config import started_config
    from captioner.training.setup import check_training

    if config.resume is not None:
        raise CaptionerError(f"resume: {config.resume} is resumed by train, which encodes by itself")
    if config.checkpoint is not None and config.init is not None:
        raise CaptionerError("checkpoint: its encoder cannot be meant together with that of init")
    given = [o for o in HydraConfig.get().overrides.task if o.split("=")[0].lstrip("+") not in OWN]
    trained = TrainConfig(**{of.name: getattr(config, of.name) for of in fields(TrainConfig)})
    trained = absolute(started_config(trained, given))
    weights = config.checkpoint or trained.init
    if config.checkpoint is not None:
        trained = replace(trained, encoder=load_checkpoint(config.checkpoint).config.encoder)
    check_training(trained)
    if weights is not None and weights != NAME:
        weights = os.path.abspath(model_path(weights))
    return Settings(
        settled(trained.encoder),
        trained.data,
        trained.training,
        config.splits,
        weights,
        os.path.abspath(cache_folder(trained.run)),
        trained.run.device,
        trained.run.workers,
        index=trained.run.index,
    )
