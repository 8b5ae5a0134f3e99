"""``captioner caption`` over shards: tars, lists and Parquet files, and folders on request."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.bulk.kinds import SHARD_SIZE, kind_of
from captioner.cli.options import from_flags
from captioner.cli.schedule import add_schedule, do_shards, share_of
from captioner.config.schema import MOST_WORKERS
from captioner.config.search import SearchConfig
from captioner.config.training import LARGEST_BATCH
from captioner.errors import CaptionerError, check_range

if TYPE_CHECKING:
    from captioner.bulk.job import Job

FILES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet")
NEEDLESS = ("resume", "overwrite", "write_metadata", "sentence", "null")  # flags for photos alone


def add_shards(parser: argparse._ActionsContainer) -> None:
    """The options for shards."""
    add_schedule(parser, "caption")
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
    share, shares = share_of(options)
    _check(options)
    from captioner.bulk.counts import in_all
    from captioner.bulk.job import remaining

    job, left_out = _job(options)
    count = len(range(share, len(job.manifest.shards), shares))
    numbers = remaining(job, share, shares)
    images = failed = 0
    for done in do_shards(job, numbers, options, _photos(job, numbers), not options.quiet):
        images, failed = images + done.images, failed + done.failed
    if not options.quiet:
        told = [f"{images - failed:,} captioned"] if numbers else []
        told += [f"{failed:,} could not be read"] * bool(failed)
        told += [f"{count - len(numbers):,} of {count:,} shards were done before"] * (count > len(numbers))
        told += [left_out] * bool(left_out)
        if job.retry_errors or len(numbers) < len(job.manifest.shards):
            told += [in_all(job.folder, job.manifest)]
        print(f"captioner: {', '.join(told)}", file=sys.stderr)
    return 1 if failed else 0


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
    check_range(options.batch_size, "--batch-size", low=1, high=LARGEST_BATCH)
    check_range(options.workers, "--workers", low=0, high=MOST_WORKERS)
    check_range(options.shard_size, "--shard-size", low=1, high=10**6)
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


def _photos(job: Job, numbers: list[int]) -> int | None:
    """How many photos the shards have, as far as that is known."""
    counts = [job.manifest.shards[n].count for n in numbers]
    return None if job.retry_errors or None in counts else sum(c for c in counts if c is not None)
