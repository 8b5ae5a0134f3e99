"""The encoder: a convolutional network whose feature map's cells are the annotations.

An encoder is a line of named stages. Those before ``fine_tune`` are frozen: they stay in eval mode, so
their BatchNorm statistics never drift, and their output is computed once per image and cached. What
follows is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from captioner.config.declare import check
from captioner.config.model import EncoderConfig
from captioner.errors import CaptionerError, choose
from captioner.kernels.depthwise import train_depthwise_in_single
from captioner.kernels.folding import ACTIVATIONS, folded
from captioner.model.backbones import build_stages
from captioner.model.fingerprint import fingerprint
from captioner.model.joined import Joined
from captioner.model.timm_networks import Stages, settled
from captioner.model.trained_encoder import is_model_file, load_trained_encoder


class Encoder(nn.Module):
    """Pixels to annotations.

    ``encoder(pixels)`` equals ``encoder.tail(encoder.trunk(pixels))``: the trunk holds what is frozen, the
    tail what is trained.

    Attributes:
        features: width of an annotation.
        local: how many of them, the last ones, are of the stage ``encoder.local``; 0 without one.
        grid: rows and columns of the feature map.
        windowed: whether a window of the trunk's output is one of the photo: not of a transformer's tokens.

    Args:
        stages: named modules in the order in which they run.
        image_size: side of the square image, in pixels.
        mean, std: of each colour channel, for pixels in [0, 1].
        fine_tune: False for all frozen, True for all trained, or the name of the first trained stage.
        keep_statistics: whether the trained stages' BatchNorm, too, keeps the mean and variance
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
        self.image_size = image_size
        # channels last needs less memory on the way and is faster on CPUs and GPUs alike
        self.stages = nn.Sequential(stages).to(memory_format=torch.channels_last)
        self.first_trained = _first_trained(stages, fine_tune)
        self.keep_statistics = keep_statistics
        self.register_buffer("mean", torch.tensor(list(mean)).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).view(3, 1, 1))
        self.stages[: self.first_trained].requires_grad_(False)
        self._lone: list[nn.Module] = []
        train_depthwise_in_single(self.stages)
        for module in self.stages.modules():
            if isinstance(module, ACTIVATIONS):
                module.inplace = False  # the trunk's output must outlive the tail's first stage
        trunk, before, shape = self._shapes()
        if len(shape) != 3:
            raise CaptionerError(f"encoder: the network's output is no feature map, its shape is {shape}")
        self.local = before[0] if isinstance(self.stages[-1], Joined) else 0
        self.features, *grid = shape
        self.grid = tuple(grid)
        self.windowed = len(trunk) == 3 and trunk[1] == trunk[2]  # the image is square
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

    @property
    def trains_statistics(self) -> bool:
        """Whether BatchNorm of trained stages normalizes by its batch."""
        return not self.keep_statistics and bool(_batch_norms(self.stages[self.first_trained :]))

    @property
    def needs_pairs(self) -> bool:
        """Whether such BatchNorm gets a single value per channel of an image, which has no variance."""
        return self.trains_statistics and bool(self._lone)

    def share_statistics(self) -> None:
        """Have BatchNorm of the trained stages normalize by the batches of all processes, on GPUs."""
        from timm.layers import convert_sync_batchnorm  # torch's own forgets timm's activations

        for place in range(self.first_trained, len(self.stages)):
            self.stages[place] = convert_sync_batchnorm(self.stages[place])

    def folded(self) -> Encoder:
        """A copy for inference on the same device, which gives the same annotations sooner."""
        copy = deepcopy(self).eval().requires_grad_(False)
        shape = (1, 3, self.image_size, self.image_size)
        noise = torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        copy.stages = folded(copy.stages, copy._normalize(noise.to(self.mean.device)))
        return copy

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
        lone = [module for module in self._lone if module.training]
        if lone and len(features) > 1:  # asked last: an exporter would take the number of images for fixed
            lone = []
        for module in lone:
            module.eval()  # one value has no variance: the statistics so far take their place
        features = self.stages[self.first_trained :](features)
        for module in lone:
            module.train()
        return features.flatten(2).transpose(1, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tail(self.trunk(pixels))

    def differentiable(self, pixels: Tensor) -> Tensor:
        """Annotations of float pixels in [0, 255], with a gradient to them through frozen stages too."""
        return self.stages(self._normalize(pixels)).flatten(2).transpose(1, 2)

    def fingerprint(self, rounded: bool = False) -> str:
        """A hash of all that decides the trunk's output, for the annotation cache.

        Besides weights that is the modules: networks with the same weights may differ in padding, in the
        epsilon of their BatchNorm, or in an activation at the end.

        Args:
            rounded: take weights that are the same in float16, as a model file may hold them, for the same.
        """
        trunk = self.stages[: self.first_trained]
        state = {**trunk.state_dict(), "mean": self.mean, "std": self.std}
        if rounded:
            state = {key: t.half() if t.is_floating_point() else t for key, t in state.items()}
        return fingerprint(state, structure=repr(trunk))

    def _normalize(self, pixels: Tensor) -> Tensor:
        scaled = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)

    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of one image: what the trunk gives, what the last stage is given, and what it gives."""
        mode = self.training
        super().train(False)
        with torch.no_grad():
            try:
                maps = [torch.zeros(1, 3, self.image_size, self.image_size)]
                with _noting_lone(self.stages[self.first_trained :], self._lone):
                    for stage in self.stages:
                        maps.append(stage(maps[-1]))
            except (RuntimeError, AssertionError) as error:  # the latter is timm's
                raise CaptionerError(
                    f"encoder.image_size: {self.image_size} is too small for this encoder, or not a side "
                    f"that it takes ({error})"
                ) from error
        super().train(mode)
        return tuple(tuple(of.shape[1:]) for of in (maps[self.first_trained], maps[-2], maps[-1]))


def _batch_norms(stages: nn.Module) -> list[nn.Module]:
    return [module for module in stages.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def _noting_lone(stages: nn.Module, lone: list[nn.Module]) -> Iterator[None]:
    """Note BatchNorm layers that get a single value per channel."""

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0][0, 0].numel() == 1 and module not in lone:
            lone.append(module)

    hooks = [module.register_forward_pre_hook(note) for module in _batch_norms(stages)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
    check(config, "encoder")
    config = settled(config)
    assert config.image_size and config.mean and config.std
    trained = load_weights and is_model_file(config.weights)
    stages = build_stages(config, load_weights and not trained)
    pretrained = config.weights is not None
    encoder = Encoder(
        stages, config.image_size, config.mean, config.std, config.fine_tune, keep_statistics=pretrained
    )
    if trained:
        load_trained_encoder(encoder, str(config.weights))
    return encoder
