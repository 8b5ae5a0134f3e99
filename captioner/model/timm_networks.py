"""Encoders from PyTorch Image Models (timm): convolutional networks by stage, and vision transformers.

A network becomes a line of named stages as timm's own feature extraction cuts it, a stage that is a sequence
of blocks into these: ``blocks_5_0`` is the first block of the sixth stage. What computes classes is left out.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from captioner.config.model import EncoderConfig
from captioner.errors import CaptionerError, first_line
from captioner.model.downloads import downloading, downloading_from_hub
from captioner.model.lite_weights import LITE, lite_state, weights_file
from captioner.model.padding import with_fixed_padding
from captioner.model.transformer_stages import transformer_stages
from captioner.model.weights import PRETRAINED, load_state_into, load_weights_into

Stages = OrderedDict[str, nn.Module]
NEAR = 4  # names that an error suggests


def timm_stages(config: EncoderConfig, load_weights: bool = True) -> Stages:
    """The stages of the timm network that the configuration names.

    Raises:
        CaptionerError: timm has no such network, it cannot be cut into stages, or its weights cannot be had.
    """
    size = config.image_size
    assert size is not None, "settled() gives it"
    network = _network(config, size, load_weights)
    if load_weights and config.weights in PRETRAINED and config.name in LITE:
        file = weights_file(config.name)
        load_state_into(network, lite_state(file, network), file)
    elif load_weights and config.weights not in (None, *PRETRAINED):
        load_weights_into(network, str(config.weights))
    if _is_transformer(network):
        return transformer_stages(network)
    return with_fixed_padding(_by_stage(network, config.name), size)


def settled(config: EncoderConfig) -> EncoderConfig:
    """The configuration with the side, mean and std that timm records for a network where they are null.

    Raises:
        CaptionerError: timm has no such network, or one of another library lacks a value.
    """
    missing = [name for name in ("image_size", "mean", "std") if getattr(config, name) is None]
    if not missing:
        return config
    if config.library != "timm":
        raise CaptionerError(
            f"encoder.{missing[0]}: a value is needed; only timm's networks have one of their own"
        )
    from timm.data import resolve_data_config

    with torch.device("meta"):
        record = resolve_data_config({}, model=_create(config.name))
    known: dict[str, Any] = {
        "image_size": record["input_size"][-1],
        "mean": list(record["mean"]),
        "std": list(record["std"]),
    }
    return replace(config, **{name: known[name] for name in missing})


def _network(config: EncoderConfig, size: int, load_weights: bool) -> nn.Module:
    with torch.device("meta"):  # to see what it is
        transformer = _is_transformer(_create(config.name))
    options: dict[str, Any] = {"img_size": size, "dynamic_img_size": False} if transformer else {}
    download = load_weights and config.weights in PRETRAINED and config.name not in LITE
    return _create(config.name, pretrained=download, **options)


def _create(name: str, **options: Any) -> nn.Module:
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), NEAR)
        found = f"; near: {', '.join(near)}" if near else ""
        raise CaptionerError(f"encoder.name: timm {timm.__version__} has no network {name!r}{found}")
    with _download(name) if options.get("pretrained") else nullcontext():
        try:
            network: nn.Module = timm.create_model(name, **options)
        except Exception as error:
            if options.get("pretrained"):
                raise
            raise CaptionerError(f"encoder: timm cannot make {name} ({first_line(error)})") from error
    return network


def _download(name: str) -> AbstractContextManager[None]:
    """Around the creation of a network with weights: of the hub, if it has them, as timm prefers."""
    from timm.models import get_pretrained_cfg

    record = get_pretrained_cfg(name)
    if record is not None and isinstance(record.hf_hub_id, str):
        return downloading_from_hub(name, record.hf_hub_id, record.hf_hub_filename)
    return downloading(name, str(record.url if record is not None else ""))


def _is_transformer(network: nn.Module) -> bool:
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(network, VisionTransformer)


def _by_stage(network: nn.Module, name: str) -> Stages:
    """The modules up to the last feature map, those before the first stage together as ``stem``."""
    from timm.models import FeatureListNet

    for flatten in (True, False):
        try:
            last = len(network.feature_info) - 1  # type: ignore[arg-type]
            parts = FeatureListNet(network, out_indices=(last,), flatten_sequential=flatten).named_children()
            break
        except (AssertionError, AttributeError, ValueError, TypeError):
            continue
    else:
        raise CaptionerError(f"encoder.name: {name} is neither convolutional stages nor a vision transformer")
    modules = list(parts)
    begin = next((i for i, (_, module) in enumerate(modules) if _is_stage(module)), 0)
    stages: Stages = OrderedDict(stem=nn.Sequential(OrderedDict(modules[:begin]))) if begin else OrderedDict()
    for part, module in modules[begin:]:
        blocks = list(module) if type(module) is nn.Sequential else []
        stages |= {f"{part}_{i}": block for i, block in enumerate(blocks)} or {part: module}
    if str(getattr(network, "output_fmt", "")) == "NHWC":
        stages["maps"] = ChannelsFirst()
    return stages


class ChannelsFirst(nn.Module):
    """``(N, rows, columns, D)``, which some networks compute with, to ``(N, D, rows, columns)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def _is_stage(module: nn.Module) -> bool:
    return sum(isinstance(part, nn.Conv2d) for part in module.modules()) > 1
