"""``captioner attend PATH... --checkpoint FILE --output DIR``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.cli.output.journal import unfinished
from captioner.cli.parsing import Parser, home_path
from captioner.cli.photos import Photos, photo_parser
from captioner.errors import CaptionerError, printable
from captioner.system.atomic_files import make_folder
from captioner.visualize.kinds import ANIMATIONS, FIGURES, PARTS

if TYPE_CHECKING:
    from captioner.cli.output.drawings import Drawings

PART = "attend.part"


def parser() -> Parser:
    """The command's options."""
    parser = photo_parser("attend", "Draw where the model looked for every word.")
    parser.add_argument(
        "--output", metavar="DIR", type=home_path, required=True, help="folder for what is drawn"
    )
    parser.add_argument(
        "--format",
        choices=(*FIGURES, *ANIMATIONS, "html"),
        default="png",
        help="png, svg, pdf: one figure per image; gif, apng: one animation per image; "
        "html: index.html, to explore all images in a browser (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="continue a stopped command")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what exists, rather than choose a free name"
    )
    return parser


def run(arguments: Sequence[str]) -> int:
    """Draw one figure or animation per image, or pages of all; 1 if an image could not be drawn."""
    options = parser().parse_args(arguments)
    if options.resume and options.overwrite:
        raise CaptionerError("--resume: continues what --overwrite would replace; give one of them")
    folder: Path = options.output
    if folder.exists() and not folder.is_dir():
        raise CaptionerError(f"--output: {folder} is a file, not a folder")
    if options.resume and folder.is_dir() and any(folder.iterdir()) and not (folder / PART).exists():
        raise CaptionerError(f"--resume: {folder} holds no {PART}, so no command was stopped there")
    photos = Photos(options, [folder, folder / PARTS])
    photos.find_first()
    from captioner.cli.output.drawings import Pages, Pictures

    drawings: Drawings
    if options.format == "html":
        drawings = Pages(folder, options.overwrite, options.resume)
    else:
        drawings = Pictures(folder, options.format, options.overwrite)
    return _attend(photos, drawings, folder)


def _attend(photos: Photos, drawings: Drawings, folder: Path) -> int:
    options = photos.arguments
    if options.overwrite:
        drawings.inputs = photos.all_inputs()
    make_folder(folder, "--output")
    with unfinished(folder / PART, options.resume, options.overwrite, on_record=drawings.drawn) as kept:
        for path, result in photos.captions(True, kept.recorded):
            record = {"path": str(path)}
            try:
                if isinstance(result, CaptionerError):
                    raise result
                drawn = drawings.place(path)
                kept.note({**record, "output": str(drawn)})
                drawings.draw(path, result, drawn)
                record |= {"caption": result.text, "output": str(drawn)}
                print(f"{printable(path)}\t{printable(drawings.opened(drawn))}\t{result.text}", flush=True)
            except CaptionerError as error:
                record["error"] = str(error)
                print(f"captioner: {error}", file=sys.stderr)
            kept.write(record)
        drawings.finish()
    return photos.close(kept.total, kept.failed)
