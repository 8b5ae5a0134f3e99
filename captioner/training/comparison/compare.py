"""A comparison carried out: what runs are missing, and then the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from captioner.config.schema import CompareConfig
from captioner.metrics.table import SCORES, compared
from captioner.system.atomic_files import make_folder, write_whole
from captioner.system.outputs import refuse_existing
from captioner.training.comparison.conclusion import conclusion
from captioner.training.comparison.figure import save_comparison
from captioner.training.comparison.plan import RUNS, Run, plan
from captioner.training.comparison.report import TITLES, as_markdown, differences
from captioner.training.comparison.results import TRAINING, Row, as_csv
from captioner.training.comparison.runs import carry_out, finished_row
from captioner.training.setup import check_training

REPORTS = ("report.md", "cells.png", "runs.csv")


Launch = Callable[[Sequence[Run], Callable[[int], object]], None]


def compare(config: CompareConfig, overrides: Sequence[str], launch: Launch | None = None) -> None:
    """Train what has not been trained, print a line per run, and write the report.

    Args:
        overrides: of the command line, which the report quotes.
        launch: carries out runs in processes of their own, by calling the function for every number;
            None: one after another, here.

    Raises:
        CaptionerError: the configuration or the data is wrong, or the folder holds something else.
    """
    check_training(config)
    folder = Path(str(config.output))
    runs = plan(config)
    if not (folder / RUNS).is_dir():  # else it is this comparison's, which replaces its own report
        reports = [folder / name for name in REPORTS]
        refuse_existing(reports, "output", config.overwrite, "overwrite=true")
    make_folder(folder, "output")
    finished = [finished_row(run) for run in runs]
    left = finished.count(None)
    print(f"{len(runs)} runs, {len(runs) - left} of them finished", flush=True)
    if launch is not None and left:
        numbers = [number for number, row in enumerate(finished) if row is None]
        _launched(runs, numbers, launch)
        finished = [row or finished_row(run) for run, row in zip(runs, finished)]
    tables: dict[str, list[Row]] = {table: [] for table in config.equal}
    for number, (run, row) in enumerate(zip(runs, finished)):
        row = row or _carried_out(runs, number)
        for table in run.tables:
            tables[table].append(row)
    report, picture, values = (folder / name for name in REPORTS)
    write_whole(values, as_csv(tables))
    save_comparison(tables, picture)
    found = {table: differences(rows) for table, rows in tables.items()}
    write_whole(report, as_markdown(tables, config, overrides, found))
    for table, rows in tables.items():
        print(f"{TITLES[table]}: {conclusion(rows, found[table])}")
    print(f"written: {report}, {picture}, {values}")


def _launched(runs: Sequence[Run], numbers: Sequence[int], launch: Launch) -> None:
    """Carry out these of the runs; a function of its own, so that jobs are sent no more than they need."""
    launch([runs[number] for number in numbers], lambda job: _carried_out(runs, numbers[job]))


def _carried_out(runs: Sequence[Run], number: int) -> Row:
    start = time.perf_counter()
    row = carry_out(runs[number])
    print(f"[{number + 1}/{len(runs)}] {_line(row, time.perf_counter() - start)}", flush=True)
    return row


def _line(row: Row, seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    if TRAINING in row.missing:
        return row.missing[TRAINING]
    scores = "  ".join(
        f"{name} {SCORES[name].scale * row.values[name]:.{SCORES[name].decimals}f}"
        for name in compared()
        if name in row.values
    )
    return (
        f"{row.cell}, {row.hidden_size} units, seed {row.seed}:  {scores}  "
        f"dev NLL {row.values['dev_nll']:.3f}  {minutes:.0f}:{seconds:02.0f}"
    )
