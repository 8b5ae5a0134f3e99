"""Seconds of several contenders taken in turn, so that their ratios hold on a noisy machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import torch

Seconds = dict[str, list[float]]


def measure(contenders: Mapping[str, Callable[[], object]], runs: int, warmups: int = 2) -> Seconds:
    """Seconds of every contender in each of ``runs`` rounds, after rounds that do not count."""
    seconds: Seconds = {name: [] for name in contenders}
    for turn in range(runs + warmups):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= warmups:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Seconds, name: str, other: str) -> float:
    """How many times as long as ``other`` it took: the median over rounds."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[other]))


def report(seconds: Seconds, against: str | None = None) -> None:
    """Medians in milliseconds, and each contender's ratio to one of them."""
    for name, values in seconds.items():
        line = f"  {name:<34}{1000 * statistics.median(values):>9.0f} ms"
        if against is not None and name != against:
            line += f"{ratio(seconds, name, against):>9.2f} x {against}"
        print(line)


def machine(device: torch.device) -> str:
    """Date, versions and processor, for the head of every table."""
    name, threads = platform.processor() or platform.machine(), f", {torch.get_num_threads()} threads"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
        name += f" ({torch.backends.cpu.get_cpu_capability()})"
    if device.type == "cuda":
        name, threads = torch.cuda.get_device_name(device), ""
    return f"{date.today()}  torch {torch.__version__}  {device.type} {name}{threads}"
