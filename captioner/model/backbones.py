"""The networks that an encoder can be, each a line of named stages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from captioner.config.model import EncoderConfig
from captioner.errors import CaptionerError, choose
from captioner.model.downloads import downloading
from captioner.model.joined import joined
from captioner.model.timm_networks import Stages, timm_stages
from captioner.model.weights import PRETRAINED, load_weights_into


def _features(network: nn.Module, stop: int | None = None) -> Stages:
    """The children of a torchvision network's ``features``, by their place."""
    children = list(network.features)[:stop]  # type: ignore[arg-type]
    return OrderedDict((f"features{i}", child) for i, child in enumerate(children))


def _resnet(network: nn.Module) -> Stages:
    parts = dict(network.named_children())
    stem = nn.Sequential(OrderedDict((n, parts[n]) for n in ("conv1", "bn1", "relu", "maxpool")))
    return OrderedDict(stem=stem, **{f"layer{i}": parts[f"layer{i}"] for i in range(1, 5)})


def _vgg(network: nn.Module) -> Stages:
    return _features(network, stop=-1)  # without the last pooling: the paper's 14 x 14 x 512


TORCHVISION: dict[str, Callable[[nn.Module], Stages]] = {
    "vgg19": _vgg,
    "resnet18": _resnet,
    "resnet50": _resnet,
    "resnet101": _resnet,
    "mobilenet_v2": _features,
    "mobilenet_v3_large": _features,
    "squeezenet1_1": _features,
    "efficientnet_b0": _features,
    "convnext_tiny": _features,
}


SMALL = {"small": 8, "small_stride4": 4}  # pixels from one annotation to the next

IMAGENET_MEAN = [0.485, 0.456, 0.406]  # what torchvision's weights were trained with
IMAGENET_STD = [0.229, 0.224, 0.225]


class Coordinates(nn.Module):
    """Append each pixel's place, two channels from -1 to 1 (Liu et al. 2018), to ``(N, C, H, W)``."""

    def forward(self, image: Tensor) -> Tensor:
        n, _, height, width = image.shape
        y = torch.linspace(-1, 1, height, device=image.device, dtype=image.dtype)
        x = torch.linspace(-1, 1, width, device=image.device, dtype=image.dtype)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"))
        return torch.cat([image, grid.expand(n, 2, height, width)], dim=1)


def small_stages(stride: int = 8) -> Stages:
    """A compact network to train from scratch: one annotation of 128 every ``stride`` pixels, 8 or 4.

    Its receptive field is 46 pixels, or 50, so an annotation describes its neighbourhood, how two objects
    stand to each other included; the coordinates say which is further left. Strided convolutions have
    an even kernel, which keeps every annotation in the middle of its cell. The second convolution of stage1
    is there for outlines: without it shapes are recognized at their edges, and the peaks lie beside them.
    """

    def block(inputs: int, outputs: int, stride: int, dilation: int = 1) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 2 + stride, stride, dilation, dilation, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    dilation = 8 // stride
    return OrderedDict(
        stage0=nn.Sequential(Coordinates(), *block(5, 24, 2)),
        stage1=nn.Sequential(*block(24, 48, 2), *block(48, 48, 1)),
        stage2=nn.Sequential(*block(48, 96, stride // 4, dilation)),
        stage3=nn.Sequential(*block(96, 128, 1, dilation)),
    )


def build_stages(config: EncoderConfig, load_weights: bool = True) -> Stages:
    """The stages of the network that the configuration names, up to its ``last_stage``.

    Raises:
        CaptionerError: unknown name or stage, or weights that cannot be read or do not fit.
    """
    if config.library == "timm":
        stages = timm_stages(config, load_weights)
    elif config.name in SMALL:
        if load_weights and config.weights in PRETRAINED:
            raise CaptionerError("encoder.weights: the small encoder has no pretrained weights, use null")
        stages = small_stages(SMALL[config.name])
        if load_weights and config.weights is not None:
            load_weights_into(nn.Sequential(stages), config.weights)
    else:
        find = choose({**dict.fromkeys(SMALL), **TORCHVISION}, config.name, "encoder.name")
        stages = find(_torchvision(config, load_weights))  # type: ignore[misc]
    if config.last_stage is not None:
        places = {name: i for i, name in enumerate(stages)}
        last = choose(places, config.last_stage, "encoder.last_stage")
        stages = OrderedDict(list(stages.items())[: last + 1])
    if config.local is None:
        return stages
    together = joined(stages, config.local)
    if config.fine_tune in stages and config.fine_tune not in together:
        raise CaptionerError(
            f"encoder.fine_tune: with encoder.local={config.local} the stages after it are trained together "
            f"or not at all; give {list(together)[-1]} instead of {config.fine_tune}"
        )
    return together


def _torchvision(config: EncoderConfig, load_weights: bool) -> nn.Module:
    from torchvision.models import get_model

    imagenet = load_weights and config.weights in PRETRAINED
    if imagenet and (config.mean != IMAGENET_MEAN or config.std != IMAGENET_STD):
        raise CaptionerError(
            f"encoder.weights: torchvision's imagenet weights want encoder.mean={IMAGENET_MEAN} and "
            f"encoder.std={IMAGENET_STD}, not {config.mean} and {config.std}; give these, or a "
            "weights file"
        )
    network = _with_imagenet_weights(config.name) if imagenet else get_model(config.name, weights=None)
    if load_weights and config.weights not in (None, *PRETRAINED):
        load_weights_into(network, str(config.weights))
    return network


def _with_imagenet_weights(name: str) -> nn.Module:
    """The network with the weights that torchvision downloads, or has downloaded before."""
    from torchvision.models import get_model, get_model_weights

    weights = get_model_weights(name)["DEFAULT"]
    with downloading(name, weights.url):
        network: nn.Module = get_model(name, weights=weights)
    return network
