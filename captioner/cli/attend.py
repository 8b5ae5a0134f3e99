"""``captioner attend PATH... --checkpoint FILE --output DIR``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from captioner.cli.photos import captions, photo_parser
from captioner.data.photos.image import printable
from captioner.errors import CaptionerError
from captioner.system.atomic_files import make_folder
from captioner.visualize import animation, figure
from captioner.visualize.page import Entry, entry, save_page

WRITERS = {
    **dict.fromkeys(figure.FIGURES, figure.save_figure),
    **dict.fromkeys(animation.ANIMATIONS, animation.save_animation),
}
PAGE = "index.html"


def run(arguments: Sequence[str]) -> int:
    """Draw one figure or animation per image, or one page of all; 1 if an image could not be read."""
    parser = photo_parser("attend", "Draw where the model looked for every word.")
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for what is drawn")
    parser.add_argument(
        "--format",
        choices=(*WRITERS, "html"),
        default="png",
        help="png, svg, pdf: one figure per image; gif, apng: one animation per image; "
        f"html: {PAGE}, one page to explore all images in a browser (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    folder = Path(options.output)
    make_folder(folder, "--output")
    failed, names = 0, set[str]()
    entries: list[Entry] = []
    for path, result in captions(options, attention=True):
        if isinstance(result, CaptionerError):
            failed += 1
            print(f"captioner: {result}", file=sys.stderr)
            continue
        if options.format == "html":
            entries.append(entry(result, path.name))
            shown = f"{printable(folder / PAGE)}#{len(entries)}"
        else:
            file = folder / f"{_free_name(path.stem, names)}.{options.format}"
            WRITERS[options.format](result, file)
            shown = printable(file)
        print(f"{shown}\t{result.text}", flush=True)
    if entries:
        save_page(entries, folder / PAGE)
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
