"""Carrying out the runs of a comparison, and finding those that are finished.

A run is an ordinary run folder, so ``captioner evaluate`` and ``captioner attend`` work on it. What was
measured is kept in it as ``result.json``; a run that has one is not repeated.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf

from captioner.config.paths import path_keys
from captioner.config.saved import CONFIG_FILE
from captioner.errors import CaptionerError, DivergedError
from captioner.system.atomic_files import write_whole
from captioner.training.comparison.measure import measure
from captioner.training.comparison.plan import Run
from captioner.training.comparison.results import TRAINING, Row
from captioner.training.loop import train
from captioner.training.run_folder import RESUME_FILE

RESULT_FILE = "result.json"


def finished_row(run: Run) -> Row | None:
    """What a finished run gave; None if it has not finished.

    Raises:
        CaptionerError: its folder holds a run with other settings, or one on other data.
    """
    file = run.folder / CONFIG_FILE
    if not file.is_file():
        return None
    saved = OmegaConf.to_container(OmegaConf.load(file))
    here, there = _settings(asdict(run.config)), _settings(saved)
    places = {
        key for key in path_keys("compare") if key.startswith("data.") and isinstance(here.get(key), str)
    }
    for key in here:
        if key in places:  # its digest decides, below
            continue
        if here[key] != there.get(key, here[key]):
            raise CaptionerError(
                f"output: {run.folder} was trained with {key}={there[key]}, not {here[key]}; "
                "choose another output for another comparison"
            )
    result = run.folder / RESULT_FILE
    if not result.is_file():
        return None
    values = json.loads(result.read_text(encoding="utf-8"))
    if values.pop("data", run.data) != run.data:  # results of before do not know theirs
        raise CaptionerError(
            f"output: {run.folder} was trained and measured on other images or captions; "
            "give the comparison its own data back, or choose another output"
        )
    return Row(**values)


def carry_out(run: Run) -> Row:
    """Train or resume, then measure and keep the result; that a run diverges is a result too."""
    values: dict[str, float] = {}
    images: dict[str, list[list[float]]] = {}
    try:
        setup = train(run.config, run.folder, (run.folder / RESUME_FILE).exists(), report=lambda _: None)
        values, missing, images = measure(run.config, setup, run.folder)
    except DivergedError as error:
        missing = {TRAINING: f"{run.folder.name} diverged: {error}"}
    except CaptionerError as error:
        raise CaptionerError(f"{run.folder.name}: {error}") from error
    width, seed = run.config.decoder.hidden_size, run.config.training.seed
    row = Row(run.cell, width, run.parameters, seed, values, missing, images)
    write_whole(run.folder / RESULT_FILE, json.dumps({**asdict(row), "data": run.data}, indent=1) + "\n")
    (run.folder / RESUME_FILE).unlink(missing_ok=True)  # larger than all else, and not needed any more
    return row


def _settings(values: Any, place: str = "") -> dict[str, object]:
    """Nested values by their dotted key, apart from where and on what a run ran."""
    if not isinstance(values, dict):
        return {place: values}
    flat: dict[str, object] = {}
    for key, value in values.items():
        if place or key not in ("run", "output", "resume", "overwrite"):
            flat |= _settings(value, f"{place}.{key}" if place else str(key))
    return flat
