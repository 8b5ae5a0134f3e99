"""Weights that others have trained, read without running anything of their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.errors import CaptionerError

PRETRAINED = ("pretrained", "imagenet")  # the two words for the weights that a library offers
CLASSIFIERS = ("classifier.", "fc.", "head.")


def load_weights_into(network: nn.Module, path: str) -> None:
    """Load a state dict; entries of the classifier may be missing, others may not.

    Raises:
        CaptionerError: the file cannot be read, belongs to another network, or contains NaN or infinity.
    """
    load_state_into(network, read_state_dict(path), path)


def load_state_into(network: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """As :func:`load_weights_into`, of tensors that have been read from ``path``."""
    wanted = network.state_dict()
    # the classifier is never used, so a classifier for other classes does not matter
    state = {k: v for k, v in state.items() if not (k.startswith(CLASSIFIERS) and k in wanted)}
    missing = [k for k in wanted if k not in state and not k.startswith(CLASSIFIERS)]
    unexpected = [k for k in state if k not in wanted]
    misshapen = [k for k in state if k in wanted and state[k].shape != wanted[k].shape]
    for problem, keys in (
        ("lacks", missing),
        ("holds an unknown", unexpected),
        ("has a size mismatch in", misshapen),
    ):
        if keys:
            raise CaptionerError(f"encoder.weights: {path} is of another network, it {problem} {keys[0]}")
    broken = [k for k, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise CaptionerError(f"encoder.weights: {path} does not hold finite numbers only ({broken[0]})")
    network.load_state_dict(state, strict=False)


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors or .pth file, in float32; the file cannot run code.

    Raises:
        CaptionerError: no such file, another kind of file, or a damaged one.
    """
    file = Path(os.path.expanduser(path))
    if not file.is_file():
        raise CaptionerError(f"encoder.weights: there is no file {path} (imagenet, a file, or null)")
    state: Any
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        elif file.suffix in (".pth", ".pt"):
            state = torch.load(file, map_location="cpu", weights_only=True)
        else:
            raise CaptionerError(f"encoder.weights: {path} is neither .safetensors nor .pth")
    except CaptionerError:
        raise
    except Exception as error:  # each reader has its own family of errors
        reason = str(error).splitlines()[0]
        raise CaptionerError(f"encoder.weights: {path} cannot be read ({reason})") from error
    for wrapper in ("state_dict", "model"):  # what training scripts often save it under
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CaptionerError(f"encoder.weights: {path} holds no state dict (tensors by name)")
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
