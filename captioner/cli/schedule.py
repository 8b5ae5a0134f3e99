"""Who does which shards: ``--shards I/N``, ``--ray`` and ``--actors``, and the progress of them."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from captioner.errors import CaptionerError, check_range
from captioner.system.terminal import no_bar

if TYPE_CHECKING:
    from captioner.bulk.schedule import Done, Work

SHARE = re.compile(r"(\d+)/(\d+)")


def add_schedule(parser: argparse._ActionsContainer, does: str) -> None:
    """The options.

    Args:
        does: what the command does with a shard.
    """
    parser.add_argument("--shards", metavar="I/N", help=f"{does} every N-th shard, from I = 0 to N-1")
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


def share_of(options: Namespace) -> tuple[int, int]:
    """Which share of the shards is this command's, from 0, and how many shares there are.

    Raises:
        CaptionerError: an option is wrong, or does not go with the others.
    """
    if options.actors is not None and options.ray is None:
        raise CaptionerError("--actors: needs --ray")
    check_range(1 if options.actors is None else options.actors, "--actors", low=1, high=10**5)
    if options.shards is None:
        return 0, 1
    found = SHARE.fullmatch(options.shards)
    share, shares = (int(found[1]), int(found[2])) if found else (0, 0)
    if share >= shares:
        raise CaptionerError(f"--shards: {options.shards!r} is not I/N with I from 0 to N-1, such as 0/4")
    return share, shares


def do_shards(
    work: Work, numbers: Sequence[int], options: Namespace, photos: int | None, progress: bool
) -> Iterator[Done]:
    """Do the shards, as the options say, with a progress bar on a terminal.

    Args:
        photos: how many there are in them, if that is known.
    """
    if not numbers:
        return
    from captioner.bulk.on_ray import run_on_ray
    from captioner.bulk.schedule import run

    hidden = no_bar(progress)
    if options.ray is not None:
        with tqdm(total=len(numbers), unit="shard", disable=hidden, dynamic_ncols=True) as bar:
            for done in run_on_ray(work, numbers, options.ray, options.actors):
                yield done
                bar.update()
        return
    with tqdm(total=photos, unit="photo", disable=hidden, dynamic_ncols=True) as bar:
        yield from run(work, numbers, lambda: bar.update() and None)
