"""``captioner attend PATH... --checkpoint FILE --output DIR``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from captioner.cli.photos import captions, photo_parser
from captioner.data.images import printable
from captioner.errors import CaptionerError
from captioner.visualize.figure import save_figure
from captioner.writing import make_folder


def run(arguments: Sequence[str]) -> int:
    """Draw a figure an image; 1 if an image could not be read."""
    parser = photo_parser("attend", "Draw where the model looked for every word.")
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for the figures")
    parser.add_argument("--format", choices=("png", "svg", "pdf"), default="png")
    options = parser.parse_args(arguments)
    folder = Path(options.output)
    make_folder(folder, "--output")
    failed, names = 0, set[str]()
    results = captions(options, attention=True)
    for path, result in results:
        if isinstance(result, CaptionerError):
            failed += 1
            print(f"captioner: {result}", file=sys.stderr)
            continue
        figure = folder / f"{_free_name(path.stem, names)}.{options.format}"
        save_figure(result, figure)
        print(f"{printable(figure)}\t{result.text}", flush=True)
    if failed:
        print(f"captioner: {failed} images could not be read", file=sys.stderr)
    return 1 if failed else 0


def _free_name(stem: str, names: set[str]) -> str:
    """A name that no other image of this run has: photos of two folders may share theirs."""
    name, number = stem, 2
    while name in names:
        name, number = f"{stem}-{number}", number + 1
    names.add(name)
    return name
