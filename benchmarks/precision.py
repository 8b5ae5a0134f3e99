"""The loss curve of bf16 beside those of fp32, over an epoch of training.

    python benchmarks/precision.py                          # generated scenes, minutes
    python benchmarks/precision.py experiment=flickr8k_mobilenet data.root=DIR encoder.weights=FILE

takes what ``captioner train`` takes. Where the processor does not multiply bfloat16, products are made as
those make them that do: of rounded operands, summed in float32, and rounded.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from statistics import mean, median

import torch
from timing import machine
from told import run
from torch import Tensor

from captioner.config.compose import run_command
from captioner.config.schema import TrainConfig
from captioner.kernels.compiler import use_compiler
from captioner.kernels.precision import has_bf16
from captioner.system.device import choose_device, keep_memory
from captioner.training.loop import train_epoch
from captioner.training.progress import Sums
from captioner.training.setup import prepare
from captioner.training.state import build_state

ROWS = 10


def main() -> None:
    keep_memory()
    run_command("train", TrainConfig, compare, sys.argv[1:] or ["experiment=quickstart"])


def compare(config: TrainConfig) -> None:
    device, seed = choose_device(config.run.device), config.training.seed
    print(machine(device))
    use_compiler(config.run.compile)
    config.training.epochs, config.run.progress = 1, False
    native = has_bf16(device)
    again, _ = curve(config, "fp32", seed + 1)
    fp32, slow = curve(config, "fp32", seed)
    with nullcontext() if native else emulated_bf16():
        bf16, fast = curve(config, "bf16", seed)
    count = min(ROWS, len(fp32))
    edges = [round(i * len(fp32) / count) for i in range(count + 1)]
    rows = [[mean(losses[a:b]) for losses in (again, fp32, bf16)] for a, b in pairwise(edges)]
    print("\nnats a word       fp32, another seed    fp32    bf16")
    for end, values in zip(edges[1:], rows):
        print(f"  steps to {end:<6,}{values[0]:>17.4f}{values[1]:>10.4f}{values[2]:>8.4f}")
    for i, name in enumerate(("another seed", "bf16")):
        apart = [values[2 * i] - values[1] for values in rows]
        print(f"  {name} against fp32: {mean(apart):+.4f}, in a row {max(map(abs, apart)):.4f} at most")
    if native:
        print(f"  a step took {1000 * median(fast):,.0f} ms in bf16, {1000 * median(slow):,.0f} in fp32")


def curve(config: TrainConfig, precision: str, seed: int) -> tuple[list[float], list[float]]:
    """The negative log likelihood of a word, in nats, at every step of an epoch, and the seconds it took."""
    config.training.precision, config.training.seed = precision, seed
    torch.manual_seed(seed)
    device = choose_device(config.run.device)
    material = prepare(config, device)
    trainer = build_state(config, material, device)
    sums = [Sums()]
    train_epoch(config, material, trainer, lambda: sums.append(replace(trainer.progress.sums)))
    steps = list(pairwise(sums))
    losses = [(after.nll - before.nll) / (after.words - before.words) for before, after in steps]
    return losses, [after.seconds - before.seconds for before, after in steps]


@contextmanager
def emulated_bf16() -> Iterator[None]:
    """Products of bfloat16 matrices on a processor without them."""
    library = torch.library.Library("aten", "IMPL")

    def product(a: Tensor, b: Tensor) -> Tensor:
        wide = (a.float(), b.float()) if a.ndim == 3 else (a.float()[None], b.float()[None])
        out = wide[0].new_empty(len(wide[0]), a.shape[-2], b.shape[-1])
        torch.bmm(*wide, out=out)  # whose kernel is not replaced
        return out if a.ndim == 3 else out[0]

    def plain(a: Tensor, b: Tensor) -> Tensor:
        return product(a, b).to(a.dtype)

    def added(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        total = alpha * product(a, b)
        return (total.add_(c, alpha=beta) if beta else total).to(a.dtype)

    def into(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
        return out.copy_(product(a, b))

    def onto(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        return c.copy_(added(c, a, b, beta=beta, alpha=alpha))

    kernels = {
        "mm": plain,
        "bmm": plain,
        "mm.out": into,
        "addmm": added,
        "baddbmm": added,
        "addmm_": onto,
        "baddbmm_": onto,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kernels are replaced on purpose
        for name, kernel in kernels.items():
            library.impl(name, kernel, "CPU")
    try:
        yield
    finally:
        library._destroy()


if __name__ == "__main__":
    run(main)
