"""What a user of exported programs has to know, as one JSON file beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from captioner.checkpoint.file import Checkpoint
from captioner.config.search import SearchConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.export.parity import Parity
from captioner.export.programs import Program, gate_names
from captioner.version import __version__
from captioner.visualize.trust import maps_note
from captioner.vocabulary import END, PAD, START, UNKNOWN

FILE = "model.json"
FORMAT = 1
SEARCH = ("beam_size", "max_length", "length_normalization")  # what a search outside needs; defaults of ours


def describe(
    checkpoint: Checkpoint, programs: Mapping[str, Program], ending: str, weights: str, parity: Parity
) -> dict[str, Any]:
    """The content of ``model.json``; docs/export.md says what each key means."""
    model, config = checkpoint.model, checkpoint.config
    preprocess = Preprocess.of(config.encoder)
    rows, columns = model.encoder.grid
    attention = {**asdict(config.attention), "inference": model.decoder.attention.look.inference}
    return {
        "format": FORMAT,
        "captioner": __version__,
        "sha256": checkpoint.digest,
        "programs": {
            name: {
                "file": f"{name}.{ending}",
                "inputs": {put: _sizes(sizes) for put, sizes in zip(program.inputs, program.sizes)},
                "outputs": list(program.outputs),
            }
            for name, program in programs.items()
        },
        "weights": weights,
        "photo": {
            "orientation": "upright, as its EXIF says",
            "mode": "RGB",
            "background": "white",
            "resize": preprocess.resize,
            "side": preprocess.image_size,
            "filter": "bilinear",
            "reducing_gap": 3.0,
            "pixels": "uint8, (photos, 3, side, side); the encoder normalizes them itself",
            "mean": model.encoder.mean.flatten().tolist(),
            "std": model.encoder.std.flatten().tolist(),
        },
        "annotations": {"rows": rows, "columns": columns, "width": model.encoder.features},
        "vocabulary": {"unit": checkpoint.vocabulary.unit, "words": list(checkpoint.vocabulary.words)},
        "special": {"pad": PAD, "start": START, "end": END, "unknown": UNKNOWN},
        "encoder": asdict(config.encoder),
        "cell": asdict(config.cell),
        "attention": attention,
        "decoder": asdict(config.decoder),
        "states": model.decoder.cell.states,
        "gates": list(gate_names(model.decoder.cell)),
        "search": {name: getattr(SearchConfig(), name) for name in SEARCH},
        "unfamiliar": checkpoint.unfamiliar,
        "grounding": checkpoint.grounding or None,
        "maps_note": maps_note(checkpoint.grounding),
        "scores": checkpoint.scores,
        "protocol": checkpoint.protocol,
        "notice": checkpoint.notice,
        "parity": {
            "photos": len(parity.captions),
            "same_captions": parity.same,
            "largest_differences": {
                name: float(f"{value:.2g}") for name, value in parity.differences.items()
            },
        },
    }


def _sizes(sizes: Mapping[int, str]) -> dict[str, str]:
    """Which dimensions may be of any size, and what they count."""
    return {str(dimension): name for dimension, name in sizes.items()}
