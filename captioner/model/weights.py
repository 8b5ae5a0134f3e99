"""Weights that others have trained, read without running anything of their files."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.errors import CaptionerError, first_line, printable

PRETRAINED = ("pretrained", "imagenet")  # the two words for the weights that a library offers
PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
ENTRIES = ("state_dict", "model_state_dict", "model", "net")  # what training scripts often save it under
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
    state = _unwrapped(state, wanted)
    # the classifier is never used, so a classifier for other classes does not matter
    state = {k: v for k, v in state.items() if not (k.startswith(CLASSIFIERS) and k in wanted)}
    missing, unexpected = _differences(state, wanted)
    for problem, keys in (("lacks", missing), ("holds an unknown", unexpected)):
        if keys:
            raise CaptionerError(
                f"encoder.weights: {path} is of another network, it {problem} {printable(keys[0])} "
                f"(it begins with {_first(state)}; wanted are {_first(wanted)})"
            )
    for k, tensor in state.items():
        if tensor.shape != wanted[k].shape:
            raise CaptionerError(
                f"encoder.weights: {path} is of another network, it has a size mismatch in {k} "
                f"({list(tensor.shape)}; wanted is {list(wanted[k].shape)})"
            )
    broken = [k for k, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise CaptionerError(f"encoder.weights: {path} does not hold finite numbers only ({broken[0]})")
    network.load_state_dict(state, strict=False)


def _unwrapped(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state without what wrappers put before all of its names, if it fits without that."""
    shorter = state
    while shorter and any(_differences(shorter, wanted)):
        name, dot, _ = next(iter(shorter)).partition(".")
        prefix = name + dot  # DataParallel's module, torch.compile's _orig_mod, an attribute's name
        if not dot or not all(k.startswith(prefix) for k in shorter):
            return state  # as the file names them, for the message
        shorter = {k.removeprefix(prefix): v for k, v in shorter.items()}
    return shorter


def _differences(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """The names that a state lacks, but for those of a classifier, and those that are not wanted."""
    missing = [k for k in wanted if k not in state and not k.startswith(CLASSIFIERS)]
    return missing, [k for k in state if k not in wanted]


def _first(names: Iterable[object]) -> str:
    """The first few of the names, for a message."""
    return ", ".join(printable(str(name)) for name in islice(names, 3)) or "nothing"


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors file or one of torch (``PICKLED``), in float32; it cannot run code.

    Raises:
        CaptionerError: no such file, another kind of file, or a damaged one.
    """
    file = Path(os.path.expanduser(path))
    if not file.is_file():
        raise CaptionerError(f"encoder.weights: there is no file {path} (imagenet, a file, or null)")
    state: Any
    try:
        if file.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        elif file.name.lower().endswith(PICKLED):
            with torch.serialization.safe_globals([Namespace]):  # timm's own training saves its options so
                state = torch.load(file, map_location="cpu", weights_only=True)
        else:
            raise CaptionerError(f"encoder.weights: {path} is neither .safetensors nor {', '.join(PICKLED)}")
    except CaptionerError:
        raise
    except Exception as error:  # each reader has its own family of errors
        raise CaptionerError(f"encoder.weights: {path} cannot be read ({_in_the_way(error)})") from error
    state = _state_in(state)
    if not isinstance(state, dict):
        found = f"a {type(state).__name__}"
    elif other := [f"{k} ({type(v).__name__})" for k, v in state.items() if not _is_weight(k, v)]:
        found = _first(other)
    else:
        found = "" if state else "nothing"
    if found:
        raise CaptionerError(
            f"encoder.weights: {path} holds no state dict (tensors by name), there is {found}"
        )
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _state_in(saved: Any) -> Any:
    """The state dict within what a training script saved; else the innermost entry that was looked into."""
    for _ in range(4):  # a pickle may hold itself
        if not isinstance(saved, dict) or all(isinstance(v, Tensor) for v in saved.values()):
            break
        entries = [saved[k] for k in ENTRIES if isinstance(saved.get(k), dict)]
        entries += list(saved.values()) if len(saved) == 1 else _only_state(saved)
        if not entries or not isinstance(entries[0], dict):
            break
        saved = entries[0]
    return saved


def _only_state(saved: dict[Any, Any]) -> list[dict[str, Tensor]]:
    """The one entry that is a state dict, if there is one alone."""
    dicts = [v for v in saved.values() if isinstance(v, dict) and v]
    states = [entry for entry in dicts if all(isinstance(v, Tensor) for v in entry.values())]
    return states if len(states) == 1 else []


def _in_the_way(error: Exception) -> str:
    """Why a file cannot be read; torch itself advises to load it so that it may run code."""
    text = str(error)
    if found := re.search(r"GLOBAL ([\w.]+)", text):
        alone = "save the tensors alone, with torch.save(network.state_dict(), FILE)"
        return f"it holds {found[1]}, which might run code; {alone}"
    if isinstance(error, EOFError):
        return "it is empty or cut short"
    if "TorchScript" in text:
        return "it is a TorchScript program; save its state_dict()"
    return "it is damaged, or was not written by torch.save" if "weights_only" in text else first_line(error)


def _is_weight(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)
