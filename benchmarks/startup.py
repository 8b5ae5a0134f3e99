"""How long commands take to begin, beside importing torch and torchvision alone."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from timing import machine
from told import run, whole

from captioner.checkpoint.file import Checkpoint, save_checkpoint
from captioner.config.model import DecoderConfig, EncoderConfig, LSTMConfig, ModelConfig, SoftAttentionConfig
from captioner.data.scenes.drawing import draw_scene
from captioner.data.scenes.scenes import ScenesConfig, make_scenes
from captioner.model.captioner import build_model
from captioner.vocabulary import Vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=whole(), default=5)
    options = parser.parse_args()
    print(machine(torch.device("cpu")))
    with tempfile.TemporaryDirectory() as folder:
        photo, model = Path(folder, "photo.png"), Path(folder, "model.safetensors")
        draw_scene(make_scenes(ScenesConfig(test=1, image_size=256), "test")[0]).save(photo)
        encoder = EncoderConfig("mobilenet_v2", None, 225)
        config = ModelConfig(encoder, LSTMConfig(), SoftAttentionConfig(), DecoderConfig())
        vocabulary = Vocabulary([f"word{i}" for i in range(3000)])
        save_checkpoint(Checkpoint(build_model(config, len(vocabulary)), vocabulary, config), model)
        commands = {
            "captioner --help": ["-m", "captioner", "--help"],
            "import torch": ["-c", "import torch"],
            "import torch, torchvision.models": ["-c", "import torch, torchvision.models"],
            "captioner caption, one photo": ["-m", "captioner", "caption", photo, "--checkpoint", model],
        }
        for name, arguments in commands.items():
            seconds = [_run([sys.executable, *map(str, arguments)]) for _ in range(options.runs)]
            print(f"  {name:<34}{statistics.median(seconds):>9.2f} s")


def _run(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
