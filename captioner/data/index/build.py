"""An index built by a process of its own, so that this one never holds the records."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from captioner.config.data import DataConfig
from captioner.errors import CaptionerError


def build(path: Path, config: DataConfig, split: str, least: int) -> None:
    """Write the index of a split, in another process.

    Args:
        least: images from which on the file holds them; of fewer it says only how many there are.

    Raises:
        CaptionerError: whatever is wrong with the data, or the file cannot be written.
    """
    asked = {"path": str(path), "data": asdict(config), "split": split, "least": least}
    command = [sys.executable, "-m", "captioner.data.index.reader"]
    try:
        done = subprocess.run(command, input=json.dumps(asked).encode(), stdout=subprocess.PIPE)
    except OSError as error:
        raise CaptionerError(f"run.index: {sys.executable} cannot be started ({error.strerror})") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise CaptionerError(f"run.index: the process that reads the captions ended with {how}") from None
    if "error" in answer:
        raise CaptionerError(answer["error"])
