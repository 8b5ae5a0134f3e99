"""``captioner info [MODEL]``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from captioner.cli.parsing import Parser, add_model

WORDS = 12  # shown of a vocabulary


def parser() -> Parser:
    """The command's options."""
    parser = Parser("info", "Tell what a model file holds: network, vocabulary, scores, hash, notice.")
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Print a model's description."""
    options = parser().parse_args(arguments)
    facts = describe(options.model)
    if options.json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return 0
    facts["vocabulary"] = _vocabulary(facts["vocabulary"])
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {_short(part)}" for key, part in value.items())
        if value:
            print(f"{name:<{max(map(len, facts))}}  {value}")
    return 0


def describe(model: str | None) -> dict[str, Any]:
    """What a model file holds, as plain values.

    Raises:
        CaptionerError: as :func:`captioner.checkpoint.file.load_checkpoint`.
    """
    from dataclasses import asdict

    from captioner.checkpoint.file import load_checkpoint
    from captioner.checkpoint.pretrained import default_checkpoint, model_path
    from captioner.vocabulary import SPECIALS

    path = model or default_checkpoint()
    checkpoint = load_checkpoint(path)
    network, config = checkpoint.model, checkpoint.config
    rows, columns = network.encoder.grid
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    vocabulary = checkpoint.vocabulary
    return {
        "model": str(model_path(path)),
        "encoder": asdict(config.encoder),
        "annotations": {"rows": rows, "columns": columns, "width": network.encoder.features},
        "cell": asdict(config.cell),
        "attention": asdict(config.attention),
        "decoder": asdict(config.decoder),
        "parameters": counts,
        "vocabulary": {"unit": vocabulary.unit, "words": list(vocabulary.words[len(SPECIALS) :])},
        "scores": checkpoint.scores,
        "protocol": checkpoint.protocol or ("validation split, in training" if checkpoint.scores else ""),
        "grounding": checkpoint.grounding,
        "unfamiliar": checkpoint.unfamiliar,
        "sha256": checkpoint.digest,
        "notice": checkpoint.notice,
    }


def _vocabulary(held: dict[str, Any]) -> str:
    words = held["words"]
    return f"{len(words):,} {held['unit']}s: {' '.join(words[:WORDS])} ..."


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(map(_short, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
