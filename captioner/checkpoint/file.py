"""The file that users keep: a trained model with all that using it needs.

``model.safetensors`` holds the weights, and in its header as JSON the configuration, the vocabulary and the
scores. It is read without running anything of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from captioner.checkpoint.pretrained import MODEL_FILE, model_path
from captioner.config.model import ModelConfig
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError, first_line
from captioner.model.captioner import Captioner, build_model
from captioner.model.fingerprint import fingerprint
from captioner.system.atomic_files import write_whole
from captioner.vocabulary import SPECIALS, Vocabulary

FORMAT = 1
LARGE = 2**16  # elements of what may be written in float16
MAX_HEADER = 100 * 2**20  # bytes; safetensors' own limit


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
    ours = json.dumps(
        {
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
        },
        ensure_ascii=False,
    )
    header = {"format": str(FORMAT), "captioner": ours, "captioner_sha256": _sha256(ours)}
    write_whole(path, _repeatable(save(state, header)))


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

    start = _start(file, name)
    header = _header(start[8:], name)
    try:
        config = from_plain(ModelConfig, header["config"], "config")
        words, unit = header["vocabulary"]["words"], header["vocabulary"]["unit"]
        checksum = header["weights_sha256"]
        scores = {str(key): float(value) for key, value in header["scores"].items()}
        vocabulary = Vocabulary([_word(word) for word in words], unit)
        notice, protocol = (_plain(header.get(key, "")) for key in ("notice", "protocol"))
        unfamiliar = None if header.get("unfamiliar") is None else float(header["unfamiliar"])
        grounding = {_plain(key): _finite(value) for key, value in header.get("grounding", {}).items()}
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


def _repeatable(data: bytes) -> bytes:
    """The same file with its header's keys in order, which safetensors leaves to chance."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    text = text.ljust(-len(text) % 8 + len(text))  # tensors start at a multiple of 8 bytes
    return b"".join((struct.pack("<Q", len(text)), text, memoryview(data)[8 + size :]))


_MODEL_KEYS = ("encoder", "cell", "attention", "decoder")
_DAMAGED = "checkpoint: {} is not a model file of captioner, or is cut short"


def _start(file: BinaryIO, path: str) -> bytes:
    """The safetensors header and the eight bytes before it that say how long it is."""
    start = file.read(9)
    # the size that comes first may begin with a pickle's bytes; JSON after it tells them apart
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise CaptionerError(
            f"checkpoint: {path} is a pickle, which could run code; it was not read "
            "(expected a model.safetensors of captioner)"
        )
    size = int.from_bytes(start[:8], "little")
    if not 1 <= size <= min(os.fstat(file.fileno()).st_size - 8, MAX_HEADER):
        raise CaptionerError(_DAMAGED.format(path))
    return start + file.read(size - 1)


def _header(text: bytes, path: str) -> dict[str, Any]:
    """Our part of the safetensors header."""
    damaged = _DAMAGED.format(path)
    try:
        metadata = json.loads(text)["__metadata__"]
        version = int(metadata["format"])
        ours = metadata["captioner"]
        header = json.loads(ours)
        whole = metadata.get("captioner_sha256") in (None, _sha256(ours))  # files of before have none
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CaptionerError(damaged) from error
    if version > FORMAT:
        raise CaptionerError(
            f"checkpoint: {path} has format {version}, this captioner reads up to {FORMAT}; "
            "install a newer one"
        )
    if not isinstance(header, dict):
        raise CaptionerError(damaged)
    if not whole:
        raise CaptionerError(f"checkpoint: the header of {path} is damaged (its checksum is wrong)")
    return header


def _word(word: Any) -> str:
    """A word of the vocabulary: no space, nothing that commands a terminal, no half of a character."""
    one = isinstance(word, str) and word.split() == [word]
    if not one or any(unicodedata.category(character) in ("Cc", "Cs") for character in word):
        raise CaptionerError(f"vocabulary: {ascii(word)[:60]} is not a word")
    return word


def _plain(text: Any) -> str:
    """Text without what would command a terminal."""
    return "".join(c for c in str(text) if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def _finite(value: Any) -> float:
    """A number that a page can tell: JSON has neither NaN nor infinity."""
    if not math.isfinite(number := float(value)):
        raise ValueError(f"grounding: {number} is not a finite number")
    return number


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
