"""``captioner evaluate checkpoint=FILE [KEY=VALUE ...]``, or ``predictions=FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.config.compose import run_command
from captioner.config.run_data import with_data_of_run
from captioner.config.schema import EvaluateConfig
from captioner.config.sources import check_sources
from captioner.system.atomic_files import make_folder
from captioner.system.outputs import refuse_existing, refuse_input

GROUNDING = "grounding.png"
PAGE = "page.html"


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration, evaluate, print the scores and keep them if a folder was named."""
    run_command("evaluate", EvaluateConfig, _evaluate, with_data_of_run("evaluate", arguments))
    return 0


def _evaluate(config: EvaluateConfig) -> None:
    check_sources(config)
    # not before the configuration is known to be right: torch alone takes seconds
    from captioner.data.load import data_files
    from captioner.evaluation.evaluate import evaluate
    from captioner.evaluation.grounding.figure import save_grounding_figure
    from captioner.evaluation.report import FILES, as_table, save_evaluation
    from captioner.evaluation.sources import files_of
    from captioner.system.device import keep_memory

    keep_memory()
    if config.output is not None:
        outputs = [
            Path(config.output) / name
            for name in (*FILES, *[GROUNDING] * config.grounding, *[PAGE] * config.page)
        ]
        refuse_existing(outputs, "output", config.overwrite, "overwrite=true")
        for output in outputs:
            refuse_input(output, [*data_files(config.data), *files_of(config).values()], "output")
        make_folder(Path(config.output), "output")
    evaluation = evaluate(config)
    print(as_table(evaluation))
    if config.output is not None:
        folder = Path(config.output)
        save_evaluation(evaluation, folder)
        written = [*FILES]
        if evaluation.grounding is not None:
            save_grounding_figure(evaluation.grounding, folder / GROUNDING)
            written.append(GROUNDING)
        if config.page:
            from captioner.cli.output.extremes import save_extremes

            save_extremes(evaluation, config, folder / PAGE)
            written.append(PAGE)
        print("written: " + ", ".join(f"{config.output}/{name}" for name in written))
