"""``captioner scenes DIR``."""

from __future__ import annotations

from collections.abc import Sequence

from captioner.cli.parsing import Parser, home_path
from captioner.config.data import ScenesConfig


def parser() -> Parser:
    """The command's options."""
    parser = Parser("scenes", "Write generated scenes and their captions.")
    parser.add_argument("folder", metavar="DIR", type=home_path)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--count", type=int, default=8, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of data=scenes (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace scenes that exist")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Write scenes as images with a table of captions that ``data=table`` reads."""
    options = parser().parse_args(arguments)
    from captioner.data.scenes.scenes import write_scenes

    config = ScenesConfig(seed=options.seed, **{options.split: options.count})
    print(write_scenes(config, options.split, options.folder, options.overwrite))
    return 0
