"""``captioner evaluate checkpoint=FILE [KEY=VALUE ...]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.composition import run_command
from captioner.config import EvaluateConfig
from captioner.evaluation import as_table, evaluate, save_evaluation
from captioner.hardware import keep_memory
from captioner.visualize.grounding_figure import save_grounding_figure
from captioner.writing import make_folder


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration, evaluate, print the scores and keep them if a folder was named."""
    keep_memory()
    run_command("evaluate", EvaluateConfig, _evaluate, arguments)
    return 0


def _evaluate(config: EvaluateConfig) -> None:
    if config.output is not None:
        make_folder(Path(config.output), "output")
    evaluation = evaluate(config)
    print(as_table(evaluation))
    if config.output is not None:
        folder = Path(config.output)
        save_evaluation(evaluation, folder)
        written = ["scores.json", "captions.json"]
        if evaluation.grounding is not None:
            save_grounding_figure(evaluation.grounding, folder / "grounding.png")
            written.append("grounding.png")
        print("written: " + ", ".join(f"{config.output}/{name}" for name in written))
