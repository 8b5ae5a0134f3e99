"""Captioning from files and the annotation cache against the encoder alone.

The encoder is measured twice: as torchvision runs the network, and as we do, with BatchNorm folded.

Photos are generated, 500 x 375 JPEGs, or those of a folder of yours. The model has MobileNetV2 at 225
pixels and widths of 512, without trained weights; captions are made 12 words long. It is measured with the
network's last stage and, for captions, also with the one that experiment=flickr8k_mobilenet_tuned takes. Then
the model that comes with captioner captions them, as it is.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from timing import machine, measure, ratio, report
from told import run, whole
from torch import Tensor, nn
from torchvision.models import get_model

from captioner.checkpoint.file import Checkpoint
from captioner.config.model import DecoderConfig, EncoderConfig, LSTMConfig, ModelConfig, SoftAttentionConfig
from captioner.config.search import SearchConfig
from captioner.data.photos.find import Finder
from captioner.data.records import Record
from captioner.features import manifest
from captioner.features.cache import cached_features
from captioner.features.sharded import Features
from captioner.features.split import gather
from captioner.kernels.compiler import use_compiler
from captioner.kernels.precision import autocast
from captioner.model.captioner import build_model
from captioner.model.encoder import Encoder
from captioner.model.rows import Captions
from captioner.predictor import Predictor, load
from captioner.system.device import choose_device, keep_memory
from captioner.training.loss import caption_loss
from captioner.vocabulary import END, Vocabulary

BATCH = 32
SHARDS = 8  # of the cache, beside one
STAGES = {320: 18, 1280: 19}  # of torchvision's network, by the width of what they give


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of .jpg files; default: generated ones")
    parser.add_argument("--count", type=whole(), default=256, help="photos (default: %(default)s)")
    parser.add_argument("--beam-size", type=whole(), default=3)
    parser.add_argument("--runs", type=whole(), default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    torch.manual_seed(0)
    keep_memory()
    print(machine(device))
    with tempfile.TemporaryDirectory() as folder:
        if options.photos:
            photos = list(Finder().find([f"{options.photos}/*.jpg"]))[: options.count]
        else:
            photos = generated(Path(folder), options.count)
        with_package_s_model(photos, options)
        for stage in ("features17", None):
            predictor = build(device, stage)
            from_files(predictor, photos, options)
        caching(predictor, photos, Path(folder, "cache"), options)


def from_files(predictor: Predictor, photos: list[Path], options: argparse.Namespace) -> None:
    search = SearchConfig(beam_size=options.beam_size, max_length=12)
    batches = decoded(predictor, photos, BATCH)
    encoder, device = predictor.encoders[0], predictor.device

    contenders: dict[str, Callable[[], object]] = {
        "torchvision's network": lambda: torchvision_forward(encoder, batches, device),
        "encoder": lambda: forward(encoder, batches, device),
        "captions from files": lambda: list(predictor.caption_many(photos, search)),
        "decoding JPEGs, one thread": lambda: [predictor.preprocess.view(photo) for photo in photos],
    }
    print(f"\n{len(photos)} photos, annotations of {encoder.features:,}, beam {options.beam_size}")
    report(measure(contenders, options.runs, warmups=1), against="torchvision's network")


def with_package_s_model(photos: list[Path], options: argparse.Namespace) -> None:
    predictor = load("pretrained", options.device)
    search = SearchConfig(beam_size=options.beam_size)
    batches = decoded(predictor, photos, BATCH)

    def encode() -> None:
        with autocast(predictor.device, "auto"):
            forward(predictor.encoders[0], batches, predictor.device)

    contenders: dict[str, Callable[[], object]] = {
        "encoder": encode,
        "captions from files": lambda: list(predictor.caption_many(photos, search)),
        "decoding JPEGs, one thread": lambda: [predictor.preprocess.view(photo) for photo in photos],
    }
    side = predictor.preprocess.image_size
    print(f"\n{len(photos)} photos, the package's own model at {side} pixels, beam {options.beam_size}")
    seconds = measure(contenders, options.runs, warmups=1)
    report(seconds, against="encoder")
    print(f"  {len(photos) / median(seconds['captions from files']):.0f} photos a second")


def decoded(predictor: Predictor, photos: list[Path], size: int) -> tuple[Tensor, ...]:
    """Batches of ``size`` photos' pixels."""
    preprocess = predictor.preprocess
    return torch.stack([preprocess.pixels(preprocess.view(photo).square) for photo in photos]).split(size)


def forward(encoder: Encoder, batches: Sequence[Tensor], device: torch.device) -> None:
    with torch.inference_mode():
        for batch in batches:
            encoder(batch.to(device))


@cache
def torchvision_network(stages: int) -> nn.Module:
    network: nn.Module = get_model("mobilenet_v2", weights=None).features[:stages]
    return network.eval()


def torchvision_forward(encoder: Encoder, batches: Sequence[Tensor], device: torch.device) -> None:
    """As far as the encoder goes."""
    network = torchvision_network(STAGES[encoder.features]).to(device)
    with torch.inference_mode():
        for batch in batches:
            network(batch.to(device) / 127.5 - 1)


def caching(predictor: Predictor, photos: list[Path], folder: Path, options: argparse.Namespace) -> None:
    encoder, device = predictor.model.encoder, predictor.device
    records = [Record(photo.name, photo, ("a",)) for photo in photos]
    batches = decoded(predictor, photos, 16)

    def build_cache() -> Features:
        shutil.rmtree(folder, ignore_errors=True)
        return cached_features(encoder, predictor.preprocess, records, folder, device, 2, progress=False)

    print("\nbuilding the annotation cache")
    contenders: dict[str, Callable[[], object]] = {
        "torchvision's network": lambda: torchvision_forward(encoder, batches, device),
        "encoder": lambda: forward(predictor.encoders[0], batches, device),
        "building": build_cache,
    }
    seconds = measure(contenders, options.runs, warmups=1)
    report(seconds)
    for name in ("torchvision's network", "encoder"):
        print(f"  {100 * ratio(seconds, name, 'building'):.0f} % of the rate of {name}")

    one, rows = build_cache(), manifest.ROWS
    manifest.ROWS = max(1, len(photos) // SHARDS)
    several = cached_features(
        encoder, predictor.preprocess, records, folder / "several", device, 2, progress=False
    )
    manifest.ROWS = rows
    use_compiler(True)
    model = predictor.model.train()
    draw = torch.Generator().manual_seed(1)
    order = torch.randperm(len(records), generator=draw).tolist()[:BATCH]
    captions = Captions.build(
        [
            [[*torch.randint(4, 3000, (n,), generator=draw).tolist(), END] for n in (8, 10, 11, 13, 16)]
            for _ in order
        ]
    ).to(device)

    def step(read: Features) -> None:
        features = gather(read, order)
        loss = caption_loss(model.decoder, model(features.to(device), captions), SoftAttentionConfig())
        loss.total.backward()
        model.zero_grad(set_to_none=True)

    print(f"\nreading it: {len(order)} images of {one[0].size:,} numbers")
    contenders = {
        "step, of one array": lambda: step(one),
        f"step, of {SHARDS} shards": lambda: step(several),
        "reading, of one array": lambda: gather(one, order),
        f"reading, of {SHARDS} shards": lambda: gather(several, order),
    }
    report(measure(contenders, 4 * options.runs), against="step, of one array")


def generated(folder: Path, count: int) -> list[Path]:
    """Photo-like JPEGs: smooth shades with some grain, so that they decode like photos."""
    random = np.random.default_rng(0)
    paths = []
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        shades = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        grain = random.normal(0, 6, shades.shape).astype(np.int16)
        paths.append(folder / f"{i:04d}.jpg")
        Image.fromarray(np.clip(shades + grain, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def build(device: torch.device, last_stage: str | None) -> Predictor:
    encoder = EncoderConfig("mobilenet_v2", None, 225, mean=[0.5] * 3, std=[0.5] * 3, last_stage=last_stage)
    config = ModelConfig(encoder, LSTMConfig(), SoftAttentionConfig(), DecoderConfig())
    vocabulary = Vocabulary([f"word{i}" for i in range(3000)])
    model = build_model(config, len(vocabulary))
    with torch.no_grad():
        model.decoder.word_output.bias[END] = -100.0
    return Predictor(Checkpoint(model, vocabulary, config), str(device))


if __name__ == "__main__":
    run(main)
