"""The encoder: a convolutional network whose feature map's cells are the annotations.

An encoder is a line of named stages. Those before ``fine_tune`` are frozen: they stay in eval mode, so
their BatchNorm statistics never drift, and their output is computed once an image and cached. What
follows is trained.
"""

from __future__ import annotations

import reprlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from captioner.config import EncoderConfig
from captioner.errors import CaptionerError, check_range, choose
from captioner.fingerprint import fingerprint
from captioner.weights import load_weights_into

Stages = OrderedDict[str, nn.Module]


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


class Coordinates(nn.Module):
    """Append each pixel's place, two channels from -1 to 1 (Liu et al. 2018), to ``(N, C, H, W)``."""

    def forward(self, image: Tensor) -> Tensor:
        n, _, height, width = image.shape
        y = torch.linspace(-1, 1, height, device=image.device, dtype=image.dtype)
        x = torch.linspace(-1, 1, width, device=image.device, dtype=image.dtype)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"))
        return torch.cat([image, grid.expand(n, 2, height, width)], dim=1)


def small_stages() -> Stages:
    """A compact network to train from scratch: one annotation of 128 every 8 pixels.

    Its receptive field is 38 pixels, so an annotation speaks of what is near it and the attention maps
    can be read; that an object stands left of another is told by the coordinates. Strided convolutions have
    an even kernel, which keeps every annotation in the middle of its cell.
    """

    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 2 + stride, stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    return OrderedDict(
        stage0=nn.Sequential(Coordinates(), *block(5, 24, 2)),
        stage1=nn.Sequential(*block(24, 48, 2)),
        stage2=nn.Sequential(*block(48, 96, 2)),
        stage3=nn.Sequential(*block(96, 128, 1)),
    )


class Encoder(nn.Module):
    """Pixels to annotations.

    ``encoder(pixels)`` equals ``encoder.tail(encoder.trunk(pixels))``: the trunk holds what is frozen, the
    tail what is trained.

    Attributes:
        features: width of an annotation.
        grid: rows and columns of the feature map.

    Args:
        stages: named modules in the order in which they run.
        image_size: side of the square image, in pixels.
        mean, std: of each colour channel, for pixels in [0, 1].
        fine_tune: False for all frozen, True for all trained, or the name of the first trained stage.
        keep_statistics: whether the trained stages' BatchNorm, too, goes on with the mean and variance
            that it has, as is usual where a pretrained network is fine-tuned in small batches.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stages: Stages,
        image_size: int,
        mean: Iterable[float],
        std: Iterable[float],
        fine_tune: bool | str = False,
        keep_statistics: bool = False,
    ) -> None:
        super().__init__()
        mean, std = list(mean), list(std)
        check_range(image_size, "encoder.image_size", low=8, high=4096)
        for values, place in ((mean, "encoder.mean"), (std, "encoder.std")):
            if len(values) != 3:
                shown = reprlib.repr(values)
                raise CaptionerError(f"{place}: {shown} holds {len(values)} values, not 3 (red, green, blue)")
        for value in mean:
            check_range(value, "encoder.mean", low=-1e6, high=1e6)
        for value in std:
            check_range(value, "encoder.std", low=1e-6, high=1e6)
        self.image_size = image_size
        # channels last needs less memory on the way and is faster on CPUs and GPUs alike
        self.stages = nn.Sequential(stages).to(memory_format=torch.channels_last)
        self.first_trained = _first_trained(stages, fine_tune)
        self.keep_statistics = keep_statistics
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.stages[: self.first_trained].requires_grad_(False)
        for module in self.stages.modules():
            if isinstance(module, nn.ReLU | nn.ReLU6 | nn.Hardswish | nn.SiLU):
                module.inplace = False  # the trunk's output must outlive the tail's first stage
        self.features, *grid = self._shape()
        self.grid = tuple(grid)
        self.train()

    @property
    def frozen(self) -> bool:
        return self.first_trained == len(self.stages)

    def train(self, mode: bool = True) -> Encoder:
        """Set the mode of the trained stages; the frozen ones stay in eval mode."""
        super().train(mode)
        self.stages[: self.first_trained].eval()
        if self.keep_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def trunk(self, pixels: Tensor) -> Tensor:
        """``(images, 3, size, size)`` uint8 pixels to the frozen stages' output.

        With no stage frozen that is the pixels themselves.
        """
        if self.first_trained == 0:
            return pixels
        with torch.no_grad():
            return self.stages[: self.first_trained](self._normalize(pixels))

    def tail(self, features: Tensor) -> Tensor:
        """The trunk's output to annotations ``(images, locations, features)``, row after row."""
        if self.first_trained == 0:
            features = self._normalize(features)
        features = self.stages[self.first_trained :](features)
        return features.flatten(2).transpose(1, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tail(self.trunk(pixels))

    def fingerprint(self) -> str:
        """A hash of all that decides the trunk's output, for the annotation cache."""
        trunk = self.stages[: self.first_trained].state_dict()
        return fingerprint({**trunk, "mean": self.mean, "std": self.std})

    def _normalize(self, pixels: Tensor) -> Tensor:
        scaled = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)

    def _shape(self) -> tuple[int, ...]:
        mode = self.training
        super().train(False)
        with torch.no_grad():
            try:
                shape = self.stages(torch.zeros(1, 3, self.image_size, self.image_size)).shape
            except RuntimeError as error:
                raise CaptionerError(
                    f"encoder.image_size: {self.image_size} is too small for this encoder ({error})"
                ) from error
        super().train(mode)
        return tuple(shape[1:])


def _first_trained(stages: Stages, fine_tune: bool | str) -> int:
    names = list(stages)
    if fine_tune is False or fine_tune is None:
        return len(names)
    if fine_tune is True:
        return 0
    return choose({name: i for i, name in enumerate(names)}, fine_tune, "encoder.fine_tune")


def build_encoder(config: EncoderConfig, load_weights: bool = True) -> Encoder:
    """The encoder that the configuration names.

    Args:
        load_weights: False leaves the initial weights, for a checkpoint that brings its own.

    Raises:
        CaptionerError: unknown name or stage, or weights that cannot be read or do not fit.
    """
    if config.name == "small":
        if load_weights and config.weights == "imagenet":
            raise CaptionerError("encoder.weights: the small encoder has no imagenet weights, use null")
        stages = small_stages()
        if load_weights and config.weights is not None:
            load_weights_into(nn.Sequential(stages), config.weights)
    else:
        find = choose({"small": None, **TORCHVISION}, config.name, "encoder")
        stages = find(_torchvision(config, load_weights))  # type: ignore[misc]
    if config.last_stage is not None:
        names = {name: i for i, name in enumerate(stages)}
        last = choose(names, config.last_stage, "encoder.last_stage")
        stages = OrderedDict(list(stages.items())[: last + 1])
    pretrained = config.weights is not None
    return Encoder(
        stages, config.image_size, config.mean, config.std, config.fine_tune, keep_statistics=pretrained
    )


def _torchvision(config: EncoderConfig, load_weights: bool) -> nn.Module:
    from torchvision.models import get_model

    imagenet = load_weights and config.weights == "imagenet"
    try:
        network = get_model(config.name, weights="DEFAULT" if imagenet else None)
    except OSError as error:  # includes urllib's errors
        raise CaptionerError(
            f"encoder.weights: torchvision could not download the weights of {config.name} ({error}); "
            "name a .safetensors or .pth file instead"
        ) from error
    if load_weights and config.weights not in (None, "imagenet"):
        load_weights_into(network, str(config.weights))
    return network
