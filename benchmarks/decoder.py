"""Training steps and beam search against a textbook implementation and the machine's own matrix rate.

    python benchmarks/decoder.py            # the setting of docs/benchmarks.md, minutes
    python benchmarks/decoder.py --help

All figures are medians of runs taken in turn in one process, so that ratios hold on a noisy machine.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import textbook
import torch
from timing import machine, measure, ratio, report
from told import run, whole

from captioner.config.data import Flickr8kConfig
from captioner.config.model import SoftAttentionConfig
from captioner.config.search import SearchConfig
from captioner.data.formats.flickr8k import load_flickr8k
from captioner.decoding.search import search
from captioner.kernels.compiler import use_compiler
from captioner.kernels.precision import autocast, has_bf16
from captioner.model.attention import AdditiveAttention
from captioner.model.cells import LSTMCell
from captioner.model.decoder import Decoder
from captioner.model.rows import Captions
from captioner.system.device import choose_device, keep_memory
from captioner.training.loss import caption_loss
from captioner.vocabulary import END, Vocabulary

WIDTH = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=whole(), default=16, help="a training step, five captions each")
    parser.add_argument("--beam-images", type=whole(), default=64)
    parser.add_argument("--beam-size", type=whole(), default=5)
    parser.add_argument("--steps", type=whole(), default=13, help="of beam search")
    parser.add_argument("--locations", type=whole(), default=196)
    parser.add_argument("--vocabulary", type=whole(5), default=8000)
    parser.add_argument("--flickr8k", metavar="DIR", help="train on captions of its, with their vocabulary")
    parser.add_argument("--runs", type=whole(), default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    torch.manual_seed(0)
    keep_memory()
    use_compiler(True)
    print(machine(device))
    images = real_captions(options) if options.flickr8k else captions(options.images, options.vocabulary)
    training(options, images, device)
    beam(options, device)


def training(options: argparse.Namespace, images: list[list[list[int]]], device: torch.device) -> None:
    decoder = build(options.vocabulary, device)
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
        **arithmetic(options, len(batch.pack(batch.words)), device),
        "captioner, fp32": lambda: ours("fp32"),
    }
    if has_bf16(device):
        contenders["captioner, bf16"] = lambda: ours("bf16")
    words = sum(batch.alive)
    print(f"\ntraining step: {options.images} images x 5 captions, {words:,} words")
    seconds = measure(contenders, options.runs)
    report(seconds)
    for name in [name for name in contenders if name.startswith("captioner")]:
        taken = statistics.median(
            t / (p + f + b) for t, p, f, b in zip(*(seconds[n] for n in (name, *ARITHMETIC)))
        )
        print(f"  {name}: {ratio(seconds, 'textbook', name):.2f} times as fast as the textbook")
        print(f"  {' ' * len(name)}  {taken:.2f} times the arithmetic's time")


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
    seconds = measure(contenders, options.runs)
    report(seconds)
    for name in list(contenders)[1:]:
        times = ratio(seconds, "textbook, one image at a time", name)
        print(f"  {name}: {times:.2f} times as fast as the textbook")
    same = sum(a == b for a, b in zip(found["textbook"], found["fp32"]))
    print(f"identical captions in fp32: {same} of {options.beam_images}")


def build(vocabulary: int, device: torch.device) -> Decoder:
    """LSTM and soft attention, all widths the same, no dropout: what both implementations compute."""
    cell, attention = LSTMCell(2 * WIDTH, WIDTH), AdditiveAttention(WIDTH, WIDTH, WIDTH)
    return Decoder(cell, attention, vocabulary, WIDTH, WIDTH, dropout=0.0).to(device)


def captions(images: int, vocabulary: int) -> list[list[list[int]]]:
    """Five captions an image of 8 to 17 words."""
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(8, 18, (images, 5), generator=draw).tolist()
    return [
        [[*torch.randint(4, vocabulary, (n,), generator=draw).tolist(), END] for n in image]
        for image in lengths
    ]


def real_captions(options: argparse.Namespace) -> list[list[list[int]]]:
    """Those of some photos of Flickr8k's training split; the vocabulary becomes theirs."""
    records = load_flickr8k(Flickr8kConfig(root=options.flickr8k), "train")
    vocabulary = Vocabulary.build(caption for record in records for caption in record.captions)
    chosen = torch.randperm(len(records), generator=torch.Generator().manual_seed(0))[: options.images]
    options.vocabulary = len(vocabulary)
    return [[vocabulary.encode(caption) for caption in records[i].captions] for i in chosen.tolist()]


ARITHMETIC = ("matrix products", "tanh, forward", "tanh, backward")


def arithmetic(
    options: argparse.Namespace, words: int, device: torch.device
) -> dict[str, Callable[[], object]]:
    """What the step cannot do without, each as one large operation on memory that is there.

    Three products for every weight: the output, and the gradients of input and weight; and the
    attention's tanh of every location, word and unit, a large cache-sized piece at a time.
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
        for a, b in ((x, w), (y, w.T), (x.T, y)):
            products.append((a, b, torch.empty(a.shape[0], b.shape[1], device=device)))
    flops = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in products)
    piece = torch.randn(16, options.locations, WIDTH, device=device)
    pieces = words // 16
    print(f"arithmetic: {flops / 1e9:.1f} GFLOP, {pieces * piece.numel() / 1e6:.0f} million tanh")
    result, gradient = torch.empty_like(piece), torch.randn_like(piece)

    def multiply() -> None:
        for a, b, out in products:
            torch.mm(a, b, out=out)

    def forward() -> None:
        for _ in range(pieces):
            torch.tanh(piece, out=result)

    def backward() -> None:
        for _ in range(pieces):
            torch.ops.aten.tanh_backward(gradient, result)

    return dict(zip(ARITHMETIC, (multiply, forward, backward)))


if __name__ == "__main__":
    run(main)
