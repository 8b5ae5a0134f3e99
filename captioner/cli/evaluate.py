"""``captioner evaluate checkpoint=FILE [KEY=VALUE ...]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.config.compose import run_command
from captioner.config.schema import EvaluateConfig
from captioner.evaluation.evaluate import evaluate
from captioner.evaluation.grounding.figure import save_grounding_figure
from captioner.evaluation.report import as_table, save_evaluation
from captioner.system.atomic_files import make_folder
from captioner.system.device import keep_memory


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
