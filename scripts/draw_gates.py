"""Draw how far a cell's gates opened at every word of a caption, for one model or several.

    python scripts/draw_gates.py --photo photo.jpg --output gates.png
    python scripts/draw_gates.py --scene 2 --output gates.png runs/cells/runs/*-seed0

Each model has a block: its own caption across, below it the mean of each gate over the cell's units, from 0
(closed) to 1 (open), and the gate to the image, beta.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import captioner
from captioner.config.data import ScenesConfig
from captioner.data.photos.image import Source
from captioner.data.scenes.scenes import load_scenes
from captioner.errors import CaptionerError
from captioner.system.outputs import refuse_existing
from captioner.visualize.gates import save_gates


def draw(options: argparse.Namespace) -> None:
    """Caption the photo with every model, and draw."""
    refuse_existing([options.output], "--output", options.overwrite, "--overwrite")
    photo: Source = options.photo
    if options.scene is not None:
        photo = load_scenes(ScenesConfig(test=options.scene + 1), "test")[options.scene].source
    captions = {}
    for path in options.models or [None]:
        predictor = captioner.load(path)
        name = "the model that comes along" if path is None else re.sub(r"-\d+-seed\d+$", "", Path(path).name)
        captions[name] = predictor.caption(photo)
    save_gates(captions, options.output)


if __name__ == "__main__":
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument(
        "models", nargs="*", help="model files or run folders; none: the one that comes along"
    )
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--photo", type=Path)
    shown.add_argument("--scene", type=int, help="number of a generated scene of the test split, from 0")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--overwrite", action="store_true", help="write over the output")
    try:
        draw(parser.parse_args())
    except CaptionerError as error:
        sys.exit(f"draw_gates: {error}")
