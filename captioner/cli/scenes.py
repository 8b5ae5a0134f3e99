"""``captioner scenes DIR``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioner.config.data import ScenesConfig
from captioner.data.scenes.scenes import write_scenes


def run(arguments: Sequence[str]) -> int:
    """Write scenes as images with a table of captions that ``data=table`` reads."""
    parser = argparse.ArgumentParser(
        "captioner scenes", description="Write generated scenes and their captions."
    )
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--count", type=int, default=8, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of data=scenes (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace scenes that exist")
    options = parser.parse_args(arguments)
    config = ScenesConfig(seed=options.seed, **{options.split: options.count})
    print(write_scenes(config, options.split, options.folder, options.overwrite))
    return 0
