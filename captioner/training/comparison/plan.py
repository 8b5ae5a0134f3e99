"""The runs of a comparison of cells: which there are, of which configuration, and where they lie."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from captioner.config.compose import compose_plain
from captioner.config.declare import check
from captioner.config.model import CellConfig
from captioner.config.schema import SCHEMAS, CompareConfig, TrainConfig
from captioner.config.strict import from_plain
from captioner.data.words import count_vocabulary
from captioner.errors import CaptionerError, check_choice, choose
from captioner.features.records import read_split
from captioner.model.encoder import build_encoder
from captioner.model.lstm_variants import VARIANTS
from captioner.training.comparison.equal_size import decoder_parameters, matching_width
from captioner.training.comparison.results import BASELINE
from captioner.training.trained_on import digest_of

CELLS = {  # by the name that reports use: the overrides of captioner train
    "vanilla": ("cell=vanilla",),
    "lstm": ("cell=lstm",),
    "peephole": ("cell=peephole",),
    "coupled": ("cell=coupled",),
    "gru": ("cell=gru",),
    "gru_reset_after": ("cell=gru", "cell.reset_after=true"),
    **{name: ("cell=lstm", f"cell.variant={name}") for name in VARIANTS},
    "lstm_layer_norm": ("cell=lstm", "cell.layer_norm=true"),
    "gru_layer_norm": ("cell=gru", "cell.layer_norm=true"),
}
SETS = {"greff": (BASELINE, "peephole", "coupled", *VARIANTS)}  # of Greff et al. 2017
RUNS = "runs"  # their folder, in the output


@dataclass(frozen=True)
class Run:
    """One run; what two tables have in common is trained once.

    Attributes:
        tables: of ``config.equal``, those that include it.
        parameters: weights of the decoder.
        data: a digest of all images' names, sizes and captions.
    """

    tables: tuple[str, ...]
    cell: str
    parameters: int
    config: TrainConfig
    folder: Path
    data: str


def plan(config: CompareConfig) -> list[Run]:
    """Every run of the comparison, one seed of all cells before the next.

    Raises:
        CaptionerError: an unknown cell or table, no seed, or wrong data.
    """
    config = replace(config, cells=named_cells(config.cells))
    _check(config)
    cells = {name: _cell(name) for name in config.cells}
    base = TrainConfig(**{field.name: getattr(config, field.name) for field in fields(TrainConfig)})
    train, val = (read_split(base.data, split, base.run) for split in ("train", "val"))
    size, data = len(count_vocabulary(train, base.vocabulary)), digest_of(train, val)
    with torch.device("meta"):
        encoder = build_encoder(base.encoder, load_weights=False)
    features, local = encoder.features, encoder.local
    wanted = decoder_parameters(replace(base, cell=cells[BASELINE]), features, size, local)
    tables: dict[tuple[str, int], tuple[str, ...]] = {}
    for equal, (name, cell) in product(config.equal, cells.items()):
        width = base.decoder.hidden_size
        if equal == "parameters":
            width = matching_width(replace(base, cell=cell), features, size, wanted, local)
        tables[name, width] = (*tables.get((name, width), ()), equal)
    runs = []
    for seed, ((name, width), of_run) in product(config.seeds, tables.items()):
        run = replace(
            base,
            cell=cells[name],
            decoder=replace(base.decoder, hidden_size=width),
            training=replace(base.training, seed=seed),
            output=None,
        )
        folder = Path(str(config.output)) / RUNS / f"{name}-{width}-seed{seed}"
        weights = decoder_parameters(run, features, size, local)
        runs.append(Run(of_run, name, weights, run, folder, data))
    return runs


def named_cells(cells: Any) -> list[str]:
    """The cells of a list, or of one name, in which ``greff`` stands for those of Greff et al. (2017).

    Raises:
        CaptionerError: it is neither a name nor a list of them.
    """
    cells = [cells] if isinstance(cells, str) else cells
    if not isinstance(cells, list) or not all(isinstance(name, str) for name in cells):
        raise CaptionerError(f"cells: {reprlib.repr(cells)} is neither a name nor a list of names")
    return [cell for name in cells for cell in SETS.get(name, (name,))]


def _check(config: CompareConfig) -> None:
    check(config)
    for name in config.cells:
        check_choice(name, [*CELLS, *SETS], "cells")
    if BASELINE not in config.cells:
        raise CaptionerError(f"cells: {BASELINE} must be among them, the others are compared with it")
    for values, key in ((config.seeds, "seeds"), (config.equal, "equal"), (config.cells, "cells")):
        if not values or len(set(values)) < len(values):
            raise CaptionerError(f"{key}: {values} must name at least one, and none twice")


def _cell(name: str) -> CellConfig:
    values = compose_plain("train", CELLS[name])["cell"]
    cell: CellConfig = from_plain(choose(SCHEMAS["cell"], values["name"], "cell"), values, "cell")
    return cell
