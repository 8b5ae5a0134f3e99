"""How time and memory of a step grow with locations, vocabulary, batch and beam.

Every row is measured in a process of its own. Memory is what that held at its peak beyond what it held
before its first step: of the process, which needs Linux; on a GPU, what torch allocated.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from decoder import WIDTH, build, captions
from timing import machine
from told import run, whole

from captioner.config.model import SoftAttentionConfig
from captioner.config.search import SearchConfig
from captioner.decoding.search import search
from captioner.errors import CaptionerError
from captioner.kernels.compiler import use_compiler
from captioner.model.rows import Captions
from captioner.system.device import choose_device, keep_memory
from captioner.training.loss import caption_loss
from captioner.vocabulary import END


@dataclass(frozen=True)
class Setting:
    images: int = 16
    locations: int = 64
    vocabulary: int = 10_000
    beam: int = 0  # 0: a training step
    steps: int = 13  # of beam search

    def run(self, device: torch.device) -> Callable[[], object]:
        decoder = build(self.vocabulary, device)
        annotations = torch.randn(self.images, self.locations, WIDTH, device=device)
        if self.beam:
            decoder.eval()
            with torch.no_grad():
                decoder.word_output.bias[END] = -100.0
            options = SearchConfig(beam_size=self.beam, max_length=self.steps)
            return lambda: search(decoder, annotations, options)
        batch = Captions.build(captions(self.images, self.vocabulary)).to(device)

        def step() -> None:
            caption_loss(decoder, decoder(annotations, batch), SoftAttentionConfig()).total.backward()
            decoder.zero_grad(set_to_none=True)

        return step


TRAIN, BEAM = Setting(), Setting(images=32, beam=5)
TABLES = {
    "training step, 16 images x 5 captions": {
        "locations": [replace(TRAIN, locations=n) for n in (49, 64, 196)],
        "vocabulary": [replace(TRAIN, vocabulary=n) for n in (3000, 10_000, 30_000)],
        "images": [replace(TRAIN, images=n) for n in (8, 16, 32)],
    },
    "beam search, 32 images, 13 steps": {
        "locations": [replace(BEAM, locations=n) for n in (49, 64, 196)],
        "vocabulary": [replace(BEAM, vocabulary=n) for n in (3000, 10_000, 30_000)],
        "images": [replace(BEAM, images=n) for n in (16, 32, 64)],
        "beam": [replace(BEAM, beam=n) for n in (1, 3, 5, 10)],
        "steps": [replace(BEAM, steps=n) for n in (13, 26, 52)],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=whole(), default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(machine(choose_device(options.device)))
    known: dict[Setting, tuple[float, float]] = {}
    for title, groups in TABLES.items():
        print(f"\n{title}\n  {'':<22}{'ms':>8}{'MiB':>8}   growth of time and memory")
        for key, settings in groups.items():
            for setting in settings:
                if setting not in known:
                    ours, theirs = context.Pipe(duplex=False)
                    arguments = (setting, options.device, options.runs, theirs)
                    process = context.Process(target=_measure, args=arguments)
                    process.start()
                    theirs.close()
                    try:
                        known[setting] = ours.recv()
                    except EOFError as error:
                        raise CaptionerError(f"the process that measured {setting} has died") from error
                    process.join()
                first, (seconds, memory) = known[settings[0]], known[setting]
                size = getattr(setting, key)
                line = f"  {key:<12}{size:>10,}{1000 * seconds:>8.0f}{memory / 2**20:>8.0f}"
                if setting is not settings[0]:
                    grown = size / getattr(settings[0], key)
                    line += f"   {seconds / first[0]:.2f} and {memory / first[1]:.2f} for {grown:.2f}"
                print(line, flush=True)


def _measure(setting: Setting, name: str, runs: int, answer: Connection) -> None:
    device = choose_device(name)
    torch.manual_seed(0)
    keep_memory()
    use_compiler(True)
    replace(setting, images=2).run(device)()  # libraries and compiled kernels
    run = setting.run(device)
    before = _begin_peak(device)
    run()
    memory = _peak(device) - before
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    answer.send((statistics.median(seconds), float(memory)))


def _begin_peak(device: torch.device) -> int:
    """Give back what is free and forget the peak so far; what is held now, in bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _peak(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    run(main)
