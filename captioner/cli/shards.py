"""``captioner caption`` over shards: tars, lists and Parquet files, and folders on request."""

from __future__ import annotations

import argparse
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from captioner.bulk.kinds import SHARD_SIZE, kind_of
from captioner.cli.options import from_flags
from captioner.config.schema import MOST_WORKERS
from captioner.config.search import SearchConfig
from captioner.config.training import LARGEST_BATCH
from captioner.errors import CaptionerError, check_range
from captioner.system.terminal import no_bar

if TYPE_CHECKING:
    from captioner.bulk.job import Done, Job

SHARE = re.compile(r"(\d+)/(\d+)")
FILES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet")
NEEDLESS = ("resume", "overwrite", "write_metadata", "sentence", "null")  # flags for photos alone


def add_shards(parser: argparse._ActionsContainer) -> None:
    """The options for shards."""
    parser.add_argument("--shards", metavar="I/N", help="caption every N-th shard, from I = 0 to N-1")
    parser.add_argument(
        "--ray",
        choices=("auto", "local"),
        help="let Ray schedule the shards: on the cluster that runs, or on the cores of this machine",
    )
    parser.add_argument(
        "--actors",
        type=int,
        metavar="N",
        help="with --ray: at most so many processes (default: a GPU or CPU each)",
    )
    parser.add_argument(
        "--shard-size",
        type=int,
        default=SHARD_SIZE,
        metavar="N",
        help="lines of a list, rows of a Parquet file or images of a folder (default: %(default)s)",
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="of Parquet: the bytes, path or address (default: image, ...)",
    )


def has_shards(options: Namespace) -> bool:
    """Whether the command is about shards, by its options or since all its paths are such files."""
    if options.shards is not None or options.ray is not None:
        return True
    return all(kind_of(path) is not None for path in options.paths)


def caption_shards(options: Namespace) -> int:
    """Caption the shards that are not done; 1 if an image could not be captioned."""
    share, shares = _share(options)
    _check(options)
    from captioner.bulk.job import remaining

    job, left_out = _job(options)
    count = len(range(share, len(job.manifest.shards), shares))
    numbers = remaining(job, share, shares)
    images = failed = 0
    for done in _done(job, numbers, options):
        images, failed = images + done.images, failed + done.failed
    if not options.quiet:
        told = [f"{images - failed:,} captioned"] if numbers else []
        told += [f"{failed:,} could not be read"] * bool(failed)
        told += [f"{count - len(numbers):,} of {count:,} shards were done before"] * (count > len(numbers))
        told += [left_out] * bool(left_out)
        print(f"captioner: {', '.join(told)}", file=sys.stderr)
    return 1 if failed else 0


def _share(options: Namespace) -> tuple[int, int]:
    if options.shards is None:
        return 0, 1
    found = SHARE.fullmatch(options.shards)
    share, shares = (int(found[1]), int(found[2])) if found else (0, 0)
    if share >= shares:
        raise CaptionerError(f"--shards: {options.shards!r} is not I/N with I from 0 to N-1, such as 0/4")
    return share, shares


def _check(options: Namespace) -> None:
    """Refuse what does not go together, before anything is read."""
    if options.output is None:
        raise CaptionerError("--output: shards need a folder to write to")
    if Path(options.output).exists() and not Path(options.output).is_dir():
        raise CaptionerError(f"--output: {options.output} is a file; shards need a folder to write to")
    if Path(options.output).suffix in FILES and not Path(options.output).exists():
        raise CaptionerError(f"--output: {options.output} is a file by its name; shards need a folder")
    for name in NEEDLESS:
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise CaptionerError(f"{flag}: is for photos, not for shards (what is done is left out anyway)")
    if options.template != "{caption}" or options.min_confidence > float("-inf"):
        raise CaptionerError("--template, --min-confidence: are for photos, not for shards")
    if "-" in options.paths:
        raise CaptionerError("-: shards are not read from standard input; write the paths to a .txt")
    if options.actors is not None and options.ray is None:
        raise CaptionerError("--actors: needs --ray")
    check_range(options.batch_size, "--batch-size", low=1, high=LARGEST_BATCH)
    check_range(options.workers, "--workers", low=0, high=MOST_WORKERS)
    check_range(options.shard_size, "--shard-size", low=1, high=10**6)
    check_range(1 if options.actors is None else options.actors, "--actors", low=1, high=10**5)
    from captioner.bulk.outputs import check_format

    check_format(options.format or "jsonl", "--format")


def _job(options: Namespace) -> tuple[Job, str]:
    """The job, whose manifest is written, and what was left out of folders."""
    from captioner.bulk.caption import Settings
    from captioner.bulk.job import Job
    from captioner.bulk.manifest import claim, digests, manifest_of
    from captioner.bulk.places import absolute
    from captioner.bulk.shards import plan
    from captioner.checkpoint.pretrained import NAME, default_checkpoint, model_path
    from captioner.data.photos.find import Finder

    folder = Path(absolute(options.output))
    names = options.checkpoint or [default_checkpoint()]
    paths = [(name, str(model_path(name))) for name in names]
    # other machines, and processes that work elsewhere, are to find them
    checkpoint = [name if name == NAME != path else absolute(path) for name, path in paths]
    settings = Settings(
        checkpoint,
        digests(checkpoint),
        options.device,
        from_flags(SearchConfig, options),
        options.batch_size,
        options.workers,
        options.accept_truncated,
        options.column,
        options.precision,
    )
    finder = Finder(not options.no_recursive, options.exclude, outputs=[folder])
    shards, listing = plan(options.paths, options.shard_size, folder, finder, options.column)
    manifest = manifest_of(settings, options.format or "jsonl", shards)
    claim(folder, manifest, listing)
    return Job(folder, manifest, settings, options.retry_errors), finder.account()


def _done(job: Job, numbers: list[int], options: Namespace) -> Iterator[Done]:
    """What was done of each shard, with a progress bar on a terminal."""
    if not numbers:
        return
    from captioner.bulk.job import run
    from captioner.bulk.on_ray import run_on_ray

    hidden = no_bar(not options.quiet)
    if options.ray is not None:
        with tqdm(total=len(numbers), unit="shard", disable=hidden, dynamic_ncols=True) as bar:
            for done in run_on_ray(job, numbers, options.ray, options.actors):
                yield done
                bar.update()
        return
    counts = [job.manifest.shards[n].count for n in numbers]
    total = None if job.retry_errors or None in counts else sum(c for c in counts if c is not None)
    with tqdm(total=total, unit="photo", disable=hidden, dynamic_ncols=True) as bar:
        yield from run(job, numbers, lambda: bar.update() and None)
