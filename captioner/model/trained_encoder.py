"""The encoder of a trained captioner as the weights of another's: a new decoder on what it has learned."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from captioner.errors import CaptionerError
from captioner.model.weights import load_state_into, read_state_dict

PART = "encoder."  # of a model file, whose other tensors are the decoder's


def is_model_file(path: str | None) -> bool:
    """Whether the file holds a model of captioner's; what cannot be read does not."""
    if path is None or not path.lower().endswith(".safetensors"):
        return False
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(Path(os.path.expanduser(path)), "pt") as file:
            return "captioner" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def load_trained_encoder(encoder: nn.Module, path: str) -> None:
    """Load the encoder of a model file into one of the same stages.

    Raises:
        CaptionerError: the file is damaged, or of another encoder or preprocessing.
    """
    held = {name.removeprefix(PART): t for name, t in read_state_dict(path).items() if name.startswith(PART)}
    for name, own in encoder.named_buffers(recurse=False):
        found = held.get(name)
        if found is None or not torch.equal(found, own):
            there = "missing" if found is None else _numbers(found)
            raise CaptionerError(f"encoder.weights: in {path} encoder.{name} is {there}, not {_numbers(own)}")
    load_state_into(encoder, held, path)


def _numbers(values: Tensor) -> str:
    return str([round(value, 6) for value in values.flatten().tolist()])
