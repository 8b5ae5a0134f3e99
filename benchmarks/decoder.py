"""Training steps and beam search against a textbook implementation and the machine's own matrix rate.

    python benchmarks/decoder.py            # the setting of docs/benchmarks.md, minutes
    python benchmarks/decoder.py --help

All figures are medians of runs taken in turn in one process, so that ratios hold on a noisy machine.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date

import textbook
import torch

from captioner.attention import SoftAttention
from captioner.cells import LSTMCell
from captioner.config import SearchConfig, SoftAttentionConfig
from captioner.decoder import Decoder
from captioner.hardware import autocast, choose_device, has_bf16, keep_memory
from captioner.loss import caption_loss
from captioner.packing import Captions
from captioner.scoring import use_compiler
from captioner.search import search
from captioner.vocabulary import END

WIDTH = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16, help="a training step, five captions each")
    parser.add_argument("--beam-images", type=int, default=64)
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--steps", type=int, default=13, help="of beam search")
    parser.add_argument("--locations", type=int, default=196)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    torch.manual_seed(0)
    keep_memory()
    use_compiler(True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} threads"
    print(f"{date.today()}  torch {torch.__version__}  {device.type} {name}{threads}")
    training(options, device)
    beam(options, device)


def training(options: argparse.Namespace, device: torch.device) -> None:
    decoder = build(options.vocabulary, device)
    images = captions(options.images, options.vocabulary)
    annotations = torch.randn(options.images, options.locations, WIDTH, device=device)
    batch = Captions.build(images).to(device)
    optimizer = torch.optim.AdamW(decoder.parameters(), fused=True)

    def finish(loss: torch.Tensor) -> None:
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def ours(precision: str) -> None:
        with autocast(device, precision):
            unrolled = decoder(annotations, batch)
            total = caption_loss(decoder, unrolled, SoftAttentionConfig()).total
        finish(total / len(batch))

    contenders: dict[str, Callable[[], None]] = {
        "textbook": lambda: finish(textbook.loss(decoder, annotations, images, 1.0)),
        "arithmetic": arithmetic(options, len(batch.pack(batch.words)), device),
        "captioner, fp32": lambda: ours("fp32"),
    }
    if has_bf16(device):
        contenders["captioner, bf16"] = lambda: ours("bf16")
    words = sum(batch.alive)
    print(f"\ntraining step: {options.images} images x 5 captions, {words:,} words")
    report(measure(contenders, options.runs, device), {"arithmetic": "arithmetic", "textbook": "textbook"})


def beam(options: argparse.Namespace, device: torch.device) -> None:
    decoder = build(options.vocabulary, device).eval()
    annotations = torch.randn(options.beam_images, options.locations, WIDTH, device=device)
    with torch.no_grad():
        decoder.word_output.weight[END].mul_(0)
        decoder.word_output.bias[END] = -100.0  # every caption has all the steps
        decoder.word_output.weight.mul_(8)  # and the choice of words is not a tie
    search_options = SearchConfig(
        beam_size=options.beam_size, max_length=options.steps, length_normalization=0.0
    )
    found: dict[str, list[tuple[int, ...]]] = {}

    def one_by_one() -> None:
        found["textbook"] = [
            tuple(textbook.beam_search(decoder, a, options.beam_size, options.steps, 0.0))
            for a in annotations
        ]

    def ours(precision: str) -> None:
        with autocast(device, precision):
            hypotheses = search(decoder, annotations, search_options)
        found[precision] = [h[0].words for h in hypotheses]

    contenders = {"textbook, one image at a time": one_by_one, "captioner, fp32": lambda: ours("fp32")}
    if has_bf16(device):
        contenders["captioner, bf16"] = lambda: ours("bf16")
    print(f"\nbeam {options.beam_size}: {options.beam_images} images, {options.steps} steps")
    report(measure(contenders, options.runs, device), {"textbook": "textbook, one image at a time"})
    same = sum(a == b for a, b in zip(found["textbook"], found["fp32"]))
    print(f"identical captions in fp32: {same} of {options.beam_images}")


def build(vocabulary: int, device: torch.device) -> Decoder:
    """LSTM and soft attention, all widths the same, no dropout: what both implementations compute."""
    cell, attention = LSTMCell(2 * WIDTH, WIDTH), SoftAttention(WIDTH, WIDTH, WIDTH)
    return Decoder(cell, attention, vocabulary, WIDTH, WIDTH, dropout=0.0).to(device)


def captions(images: int, vocabulary: int) -> list[list[list[int]]]:
    """Five captions an image of 8 to 17 words."""
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(8, 18, (images, 5), generator=draw).tolist()
    return [
        [[*torch.randint(4, vocabulary, (n,), generator=draw).tolist(), END] for n in image]
        for image in lengths
    ]


def arithmetic(options: argparse.Namespace, words: int, device: torch.device) -> Callable[[], None]:
    """The step's matrix products and nonlinearities alone, each as one large operation, forward and back.

    Three products of (words x inputs) by (inputs x outputs) for every weight: the output, and the
    gradients of input and weight; and the attention's exponentials and reciprocals as tanh.
    """
    sizes = [
        (words, 3 * WIDTH, 4 * WIDTH),  # cell: word, context, hidden
        (words, WIDTH, WIDTH),  # query
        (words, 2 * WIDTH, WIDTH),  # deep output
        (words, WIDTH, options.vocabulary),  # logits
        (options.images * options.locations, WIDTH, WIDTH),  # keys
    ]
    products = []
    for m, k, n in sizes:
        x, w = torch.randn(m, k, device=device), torch.randn(k, n, device=device)
        y = torch.randn(m, n, device=device)
        products += [(x, w), (y, w.T), (x.T, y)]
    combinations = torch.randn(words * options.locations // 16, 16 * WIDTH, device=device)
    flops = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in products)
    print(f"arithmetic: {flops / 1e9:.1f} GFLOP, {combinations.numel() / 1e6:.0f} million tanh")

    def run() -> None:
        for a, b in products:
            torch.mm(a, b)
        torch.tanh(combinations)

    return run


def measure(
    contenders: dict[str, Callable[[], None]], runs: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of every contender, taken in turn after two warm-up rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(runs + 2):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def report(seconds: dict[str, list[float]], against: dict[str, str]) -> None:
    """Medians, and the median of the ratios taken turn by turn."""
    for name, values in seconds.items():
        line = f"  {name:<30}{1000 * statistics.median(values):>9.0f} ms"
        for label, other in against.items():
            if name.startswith("captioner"):
                ratio = statistics.median(o / v for o, v in zip(seconds[other], values))
                line += f"   {ratio:5.2f} x as fast as {label}"
        print(line)


if __name__ == "__main__":
    main()
