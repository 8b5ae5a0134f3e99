"""``captioner average MODEL MODEL ... --output FILE``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from captioner.checkpoint.pretrained import MODEL_FILE
from captioner.cli.parsing import Parser, home_path
from captioner.system.outputs import refuse_existing, refuse_input


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        "average",
        "Average the weights of models fine-tuned from the same start (a model soup, "
        "Wortsman et al. 2022): several self-critical runs from one model, or that model and such a run. The "
        "mean is often better than its best member, and as fast as one model. Models with nothing in common "
        "make nonsense; let those caption together instead: captioner caption --checkpoint A --checkpoint B.",
    )
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", type=os.path.expanduser, help="model files, or folders of runs"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=home_path, required=True, help="the model file to write"
    )
    parser.add_argument(
        "-w",
        "--weights",
        metavar="W",
        type=float,
        nargs="+",
        help="how much each model counts, of whatever sum (default: all alike)",
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="write float16, half the size, as captioner's own model is; one model alone may be rewritten so",
    )
    parser.add_argument("--notice", metavar="TEXT", help="kept in the file: the data, its terms, licences")
    parser.add_argument(
        "--unfamiliar",
        metavar="X",
        type=float,
        help="kept in the file: the mean log probability per word below which a photo is told to be unlike "
        "those that the model knows (scripts/measure_confidence.py finds it)",
    )
    parser.add_argument(
        "--scores",
        metavar="DIR",
        type=home_path,
        help="kept in the file: those of captioner evaluate output=DIR; with grounding=true also how far the "
        "attention maps may be believed, which the pages then tell",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Write the mean of several models' weights as one model."""
    options = parser().parse_args(arguments)
    output = options.output
    refuse_input(output, [*options.models, *(Path(m) / MODEL_FILE for m in options.models)], "--output")
    refuse_existing([output], "--output", options.overwrite, "--overwrite")
    from dataclasses import asdict, replace

    from captioner.checkpoint.average import average
    from captioner.checkpoint.file import save_checkpoint
    from captioner.checkpoint.members import load_members
    from captioner.evaluation.report import read_measured

    members = load_members(options.models)
    kept = {key: value for key in ("notice", "unfamiliar") if (value := getattr(options, key)) is not None}
    if options.scores is not None:
        kept |= asdict(read_measured(options.scores))
    alone = len(members) == 1 and (options.half or kept)
    model = members[0] if alone else average(members, options.weights)
    save_checkpoint(replace(model, **kept), output, options.half)
    print(f"written: {output}")
    return 0
