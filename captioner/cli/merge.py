"""``captioner merge DIR --output FILE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from captioner.cli.parsing import Parser, home_path
from captioner.errors import CaptionerError
from captioner.system.outputs import refuse_existing, refuse_input


def parser() -> Parser:
    """The command's options."""
    parser = Parser("merge", "Join what captioner caption wrote shard by shard, in the order of its inputs.")
    parser.add_argument("folder", metavar="DIR", type=home_path, help="the --output of captioner caption")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=home_path, required=True, help="a .jsonl or .parquet to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Write all records as one file, and say how many."""
    options = parser().parse_args(arguments)
    from captioner.bulk.merge import merge
    from captioner.bulk.outputs import FORMATS, check_format

    ending = options.output.suffix.lstrip(".")
    if ending not in FORMATS:
        choices = " or ".join(f".{name}" for name in FORMATS)
        raise CaptionerError(f"--output: {options.output} does not end in {choices}")
    check_format(ending, "--output")
    if options.folder.is_dir():
        refuse_input(options.output, options.folder.iterdir(), "--output")
    refuse_existing([options.output], "--output", options.overwrite, "--overwrite")
    count = merge(options.folder, options.output)
    print(f"captioner: {count:,} records", file=sys.stderr)
    return 0
