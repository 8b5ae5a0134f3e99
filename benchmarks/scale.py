"""The arithmetic of large data: the tables of docs/scale.md.

Memory and start-up per image are measured here; times of encoding, training and captioning are those that
stand in docs/benchmarks.md; everything else is arithmetic on the networks themselves, which are built without
memory or weights. It prints Markdown.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import re
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from timing import machine
from told import run, whole
from torch.utils.flop_counter import FlopCounterMode

from captioner.config.data import CocoConfig
from captioner.config.model import DecoderConfig, EncoderConfig, LSTMConfig, ModelConfig, SoftAttentionConfig
from captioner.config.training import TrainingConfig
from captioner.data.formats.coco import load_coco
from captioner.data.photos.preprocess import Preprocess
from captioner.data.words import encode_captions
from captioner.features import identity
from captioner.features.identity import key_of
from captioner.model.captioner import Captioner, build_model
from captioner.model.encoder import build_encoder
from captioner.training.record_digests import digests_of
from captioner.vocabulary import Vocabulary

DOCS = Path(__file__).parents[1] / "docs"
SIZES = {
    "Flickr8k": 8_000,
    "COCO": 123_000,
    "CC3M": 3_300_000,
    "10^8": 10**8,
    "10^9": 10**9,
}
WORDS = 10_000  # of the vocabulary
RANKS, LINKS = 8, (10, 100)  # processes, and Gbit/s between them
EFFICIENTNET = ("tf_efficientnet_lite2", "timm", 292)
ENCODERS = {
    "MobileNetV2, 225": ("mobilenet_v2", "torchvision", 225, False),
    "EfficientNet-Lite2, 292": (*EFFICIENTNET, False),
    "its trunk before blocks_5_0": (*EFFICIENTNET, "blocks_5_0"),
    "ResNet-101, 224": ("resnet101", "torchvision", 224, False),
    "VGG-19, 224": ("vgg19", "torchvision", 224, False),
}


class Network(NamedTuple):
    """What an encoder and the decoder over it cost, on paper."""

    shape: tuple[int, ...]  # of an image's cached annotations
    gflop: float  # of the frozen part, an image
    trained: int  # parameters

    @property
    def stored(self) -> int:
        """Bytes of an image's annotations in float16."""
        return 2 * int(torch.Size(self.shape).numel())

    @property
    def gradient(self) -> int:
        """Bytes that a step reduces, in float32."""
        return 4 * self.trained


def network(name: str, library: str, size: int, fine_tune: str | bool) -> Network:
    config = EncoderConfig(name, "given", size, library=library, fine_tune=fine_tune)
    with torch.device("meta"):
        encoder = build_encoder(config, load_weights=False)
        model: Captioner = build_model(
            ModelConfig(config, LSTMConfig(), SoftAttentionConfig(), DecoderConfig()), WORDS, False
        )
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            features = encoder.trunk(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Network(tuple(features.shape[1:]), counted.get_total_flops() / 1e9, trained)


class PerImage(NamedTuple):
    """Measured here, for an image with its captions."""

    record: float  # bytes
    captions: float  # bytes, encoded
    start: float  # seconds, for the name of the annotation cache by each photo's look
    listed: float  # seconds, for that by the list of photos
    digest: float  # seconds, for the digest of names and captions


def per_image(images: int, captions: int) -> PerImage:
    """Of records read from a COCO file, with captions of 8 to 13 words drawn as often as their rank says."""
    draw = random.Random(0)
    words = [f"w{n}" for n in range(WORDS)]
    odds = [1 / (n + 1) for n in range(WORDS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train2014").mkdir()
        names = [f"COCO_train2014_{n:012}.jpg" for n in range(images)]
        for file in names:
            (folder / "train2014" / file).touch()
        content = {
            "images": [{"id": n, "file_name": file} for n, file in enumerate(names)],
            "annotations": [
                {"image_id": n, "caption": " ".join(draw.choices(words, odds, k=draw.randint(8, 13)))}
                for n in range(images)
                for _ in range(captions)
            ],
        }
        (folder / "captions.json").write_text(json.dumps(content))
        del content, names
        config = CocoConfig(root=name, train="captions.json", train_images="train2014")
        vocabulary = Vocabulary.build(words, "word", 1)
        encoder = build_encoder(EncoderConfig("small", None, 64), load_weights=False)
        tracemalloc.start()
        before = held()
        records = load_coco(config, "train")
        read = held()
        encoded = encode_captions(records, vocabulary, 50)
        end = held()
        tracemalloc.stop()
        assert len(encoded) == images
        seconds = [timed(lambda: key_of(encoder, Preprocess(64, "crop"), records))]
        identity.LARGE = images
        seconds.append(timed(lambda: key_of(encoder, Preprocess(64, "crop"), records)))
        seconds.append(timed(lambda: digests_of(records)))
    return PerImage((read - before) / images, (end - read) / images, *(each / images for each in seconds))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class Measured(NamedTuple):
    """Core-seconds an image, of MobileNetV2 at 225 pixels on two cores, from docs/benchmarks.md."""

    encode: float
    train: float
    tune: float  # with the encoder's last stages
    caption: float


def measured() -> Measured:
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")

    def number(pattern: str) -> float:
        found = re.search(pattern, text, re.DOTALL)
        assert found, f"docs/benchmarks.md has no {pattern}"
        return float(found[1])

    photos = number(r"(\d+) photos, annotations of 1,280")
    batch = TrainingConfig().batch_size
    milliseconds = Measured(
        number(r"building the annotation cache.*?building +(\d+) ms") / photos,
        number(r"a step took (\d+) ms in bf16") / batch,
        number(r"took \d+ to (\d+) ms in bf16") / batch,
        number(r"annotations of 1,280.*?captions from files +(\d+) ms") / photos,
    )
    return Measured(*(2 * value / 1000 for value in milliseconds))


def table(*rows: tuple[str, ...]) -> str:
    head, *others = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others])


def size(count: float) -> str:
    """Bytes, in powers of ten."""
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if count < 1000 or unit == "PB":
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError


def short(number: float) -> str:
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def networks_table(networks: dict[str, Network]) -> str:
    head = ("encoder", "annotations", "an image", *SIZES)
    return table(
        head,
        *(
            (
                name,
                "x".join(map(str, (*one.shape[1:], one.shape[0]))),
                size(one.stored),
                *(size(one.stored * n) for n in SIZES.values()),
            )
            for name, one in networks.items()
        ),
    )


def hours_table(times: Measured, networks: dict[str, Network]) -> str:
    reference = next(iter(networks.values()))
    rows: list[tuple[str, float]] = [
        ("encoding once, MobileNetV2 (measured)", times.encode),
        *(
            (f"encoding once, {name}", times.encode * one.gflop / reference.gflop)
            for name, one in [*networks.items()][1:]
        ),
        ("one epoch of the decoder, bf16 (measured)", times.train),
        ("one epoch with MobileNetV2's last stages, bf16 (measured)", times.tune),
        ("captioning from files, beam 3 (measured)", times.caption),
    ]
    return table(
        ("core-hours", "core-ms an image", *SIZES),
        *(
            (name, f"{1000 * seconds:,.0f}", *(short(seconds * n / 3600) for n in SIZES.values()))
            for name, seconds in rows
        ),
    )


def network_table(networks: dict[str, Network]) -> str:
    share = 2 * (RANKS - 1) / RANKS
    return table(
        (
            "encoder",
            "GFLOP an image, frozen part",
            "trained parameters",
            "gradient",
            "sent by each process",
            *(f"at {link} Gbit/s" for link in LINKS),
        ),
        *(
            (
                name,
                f"{one.gflop:.2g}",
                f"{one.trained:,}",
                size(one.gradient),
                size(share * one.gradient),
                *(f"{share * one.gradient * 8 / link / 1e6:.0f} ms" for link in LINKS),
            )
            for name, one in networks.items()
        ),
    )


class Prices(NamedTuple):
    """What is paid, in any currency."""

    core_hour: float
    gigabyte_month: float
    months: float  # that annotations are kept


def money_table(times: Measured, networks: dict[str, Network], prices: Prices) -> str:
    """One pass of each kind over all images, and what annotations cost to keep."""
    name, one = "EfficientNet-Lite2, 292", networks["EfficientNet-Lite2, 292"]
    reference = next(iter(networks.values()))
    encode = times.encode * one.gflop / reference.gflop
    kept = one.stored / 1e9 * prices.gigabyte_month * prices.months
    rows = [
        (f"encoding once, {name}", encode / 3600 * prices.core_hour),
        (f"its annotations, kept for {prices.months:g} months", kept),
        ("one epoch of the decoder", times.train / 3600 * prices.core_hour),
        ("captioning from files, beam 3", times.caption / 3600 * prices.core_hour),
    ]
    return table(
        ("money", *SIZES), *((what, *(short(each * n) for n in SIZES.values())) for what, each in rows)
    )


def memory_table(found: PerImage) -> str:
    return table(
        ("each process", "an image", *SIZES),
        *(
            (name, f"{one:,.0f} B", *(size(one * n) for n in SIZES.values()))
            for name, one in (("records", found.record), ("encoded captions", found.captions))
        ),
        *(
            (name, f"{1e6 * one:.1f} us", *(short(one * n / 60) for n in SIZES.values()))
            for name, one in (
                ("cache's name by a look at each photo, minutes", found.start),
                ("by the list of photos, minutes", found.listed),
                ("digest of names and captions, minutes", found.digest),
            )
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=whole(), default=20_000, help="records that are measured")
    parser.add_argument("--captions", type=whole(), default=5, help="of each")
    parser.add_argument("--core-hour", type=float, default=0.05, help="its price (default: %(default)s)")
    parser.add_argument("--gigabyte-month", type=float, default=0.02, help="its price (default: %(default)s)")
    parser.add_argument("--months", type=float, default=3, help="that annotations are kept")
    options = parser.parse_args()
    prices = Prices(options.core_hour, options.gigabyte_month, options.months)
    networks, times = {name: network(*given) for name, given in ENCODERS.items()}, measured()
    for part in (
        networks_table(networks),
        hours_table(times, networks),
        money_table(times, networks, prices),
        network_table(networks),
    ):
        print(f"{part}\n")
    print(memory_table(per_image(options.images, options.captions)))
    print(f"\n{machine(torch.device('cpu'))}; {options.images:,} images, {options.captions} captions each")


if __name__ == "__main__":
    run(main)
