"""The file that users keep: a trained model with all that using it needs.

``model.safetensors`` holds the weights, and in its header as JSON the configuration, the vocabulary and the
scores. It is read without running anything of it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch

from captioner.checkpoint.header import (
    checked_word,
    finite,
    header_of,
    metadata_of,
    plain,
    read_start,
    repeatable,
)
from captioner.checkpoint.pretrained import MODEL_FILE, model_path
from captioner.config.model import ModelConfig
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError, first_line
from captioner.model.captioner import Captioner, build_model
from captioner.model.fingerprint import fingerprint
from captioner.system.atomic_files import write_whole
from captioner.vocabulary import SPECIALS, Vocabulary

LARGE = 2**16  # elements of what may be written in float16
_MODEL_KEYS = ("encoder", "cell", "attention", "decoder")


@dataclass
class Checkpoint:
    """A trained model with all that using it needs.

    Attributes:
        config: what rebuilds the model.
        scores: of the validation split when the weights were chosen, or what ``protocol`` says.
        protocol: what the scores are of, and how they were measured; empty for those of training.
        digest: SHA-256 of the file it was read from, empty if it was not.
        notice: for who gets the file: what it was trained on, whose terms hold.
        unfamiliar: the confidence of a caption (mean log probability per word, beam search) below which
            its photo is taken to be unlike those that the model knows; None: not known.
        grounding: how far its attention maps may be believed, as an evaluation measured it: the figures of
            :func:`captioner.evaluation.grounding.kept.kept_figures`; empty where they were not measured.
    """

    model: Captioner
    vocabulary: Vocabulary
    config: ModelConfig
    scores: dict[str, float] = field(default_factory=dict)
    digest: str = ""
    notice: str = ""
    unfamiliar: float | None = None
    protocol: str = ""
    grounding: dict[str, float] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
    """Write ``path`` whole or not at all.

    Args:
        half: write large matrices in float16, nearly half the size; they are float32 again when read.
    """
    from safetensors.torch import save

    state = {k: v.detach().cpu().contiguous() for k, v in checkpoint.model.state_dict().items()}
    if half:
        # what is small hardly counts in size, yet an early layer's rounding reaches all that follow
        state = {k: v.half() if v.is_floating_point() and v.numel() >= LARGE else v for k, v in state.items()}
    ours = {
        "config": {k: asdict(getattr(checkpoint.config, k)) for k in _MODEL_KEYS},
        "vocabulary": {
            "unit": checkpoint.vocabulary.unit,
            "words": list(checkpoint.vocabulary.words[len(SPECIALS) :]),
        },
        "scores": checkpoint.scores,
        **({"notice": checkpoint.notice} if checkpoint.notice else {}),
        **({"protocol": checkpoint.protocol} if checkpoint.protocol else {}),
        **({} if checkpoint.unfamiliar is None else {"unfamiliar": checkpoint.unfamiliar}),
        **({"grounding": checkpoint.grounding} if checkpoint.grounding else {}),
        "weights_sha256": fingerprint(state),
    }
    write_whole(path, repeatable(save(state, metadata_of(ours))))


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a model file; the model comes back in eval mode.

    Raises:
        CaptionerError: no such file, not a model file of ours (pickles are refused unread), a newer
            format, or a damaged one.
    """
    path = model_path(path)
    name = ascii(str(path))[1:-1]  # a name may hold a line's end
    try:
        if path.is_dir():
            path, name = path / MODEL_FILE, f"{name}/{MODEL_FILE}"
        if not path.is_file():
            raise CaptionerError(f"checkpoint: there is no file {name}")
        with path.open("rb") as file:
            return _read(file, name, device)
    except OSError as error:
        raise CaptionerError(f"checkpoint: {name} cannot be read ({error.strerror})") from error


def _read(file: BinaryIO, name: str, device: torch.device | str) -> Checkpoint:
    """Read no more than the header says that the model has, however large the file is."""
    from safetensors.torch import load

    start = read_start(file, name)
    header = header_of(start[8:], name)
    try:
        config = from_plain(ModelConfig, header["config"], "config")
        words, unit = header["vocabulary"]["words"], header["vocabulary"]["unit"]
        checksum = header["weights_sha256"]
        scores = {str(key): float(value) for key, value in header["scores"].items()}
        vocabulary = Vocabulary([checked_word(word) for word in words], unit)
        notice, protocol = (plain(header.get(key, "")) for key in ("notice", "protocol"))
        unfamiliar = None if header.get("unfamiliar") is None else float(header["unfamiliar"])
        grounding = {plain(key): finite(value) for key, value in header.get("grounding", {}).items()}
        with torch.device("meta"):  # nothing is allocated for sizes that the file does not hold
            model = build_model(config, len(vocabulary), load_encoder_weights=False)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        reason = first_line(error)
        raise CaptionerError(f"checkpoint: the header of {name} is damaged ({reason})") from error
    except CaptionerError as error:
        raise CaptionerError(f"checkpoint: {name}: {error}") from error
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    data = start + file.read(min(size + 1, os.fstat(file.fileno()).st_size))
    try:
        state = load(data)
        stored = fingerprint(state)
        state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        model.load_state_dict(state, assign=True)
        if any(buffer.is_meta for buffer in model.buffers()):  # tables that are computed, not kept
            model = build_model(config, len(vocabulary), load_encoder_weights=False)
            model.load_state_dict(state)
    except Exception as error:  # safetensors and torch have families of errors of their own
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise CaptionerError(
            f"checkpoint: the weights of {name} are damaged or of another model ({reason})"
        ) from error
    if stored != checksum:
        raise CaptionerError(f"checkpoint: the weights of {name} are damaged (their checksum is wrong)")
    for key, tensor in state.items():
        if not tensor.isfinite().all():
            raise CaptionerError(f"checkpoint: the weights of {name} are not all finite numbers ({key})")
    if not (model.encoder.std > 0).all():
        raise CaptionerError(f"checkpoint: the weights of {name} are damaged (encoder.std is not positive)")
    model.encoder.stages.to(memory_format=torch.channels_last)
    digest = hashlib.sha256(data).hexdigest()
    return Checkpoint(
        model.to(device).eval(), vocabulary, config, scores, digest, notice, unfamiliar, protocol, grounding
    )
