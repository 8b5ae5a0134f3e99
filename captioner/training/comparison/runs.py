"""The runs of a comparison of cells: which there are, carrying one out, and measuring what it gave.

A run is an ordinary run folder, so ``captioner evaluate`` and ``captioner attend`` work on it. What was
measured is kept in it as ``result.json``; a run that has one is not repeated.
"""

from __future__ import annotations

import json
import reprlib
import statistics
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from captioner.checkpoint.file import load_checkpoint
from captioner.config.compose import compose_plain
from captioner.config.declare import check
from captioner.config.model import CellConfig
from captioner.config.paths import path_keys
from captioner.config.saved import CONFIG_FILE
from captioner.config.schema import SCHEMAS, CompareConfig, TrainConfig
from captioner.config.strict import from_plain
from captioner.data.words import count_vocabulary
from captioner.errors import CaptionerError, DivergedError, check_choice, choose
from captioner.evaluation.captions import caption_split
from captioner.features.captioned import CaptionedSplit
from captioner.features.records import read_split
from captioner.kernels.precision import autocast
from captioner.metrics.coco import coco_scores
from captioner.metrics.table import SCORES, compared
from captioner.model.encoder import build_encoder
from captioner.model.lstm_variants import VARIANTS
from captioner.system.atomic_files import write_whole
from captioner.system.device import choose_device
from captioner.training.comparison.equal_size import decoder_parameters, matching_width
from captioner.training.comparison.gradient_reach import STEPS, gradient_reach
from captioner.training.comparison.likelihood import mean_nll
from captioner.training.comparison.results import BASELINE, TRAINING, Row, numbers_of_images
from captioner.training.loop import train
from captioner.training.run_folder import MODEL_FILE, RESUME_FILE, TIMINGS_FILE
from captioner.training.setup import Setup
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
RESULT_FILE = "result.json"
RUNS = "runs"  # the folder of the runs' folders


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
        runs.append(Run(of_run, name, decoder_parameters(run, features, size), run, folder, data))
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


def measure(
    config: TrainConfig, setup: Setup, folder: Path
) -> tuple[dict[str, float], dict[str, str], dict[str, list[list[float]]]]:
    """All values of a :class:`Row`, what is missing, and its images, of the weights that the run kept."""
    device = choose_device(config.run.device)
    checkpoint = load_checkpoint(folder / MODEL_FILE, device)
    model, vocabulary, dev = checkpoint.model, checkpoint.vocabulary, setup.val
    lines = (folder / TIMINGS_FILE).read_text(encoding="utf-8").splitlines()
    values = {"words_per_second": statistics.median(json.loads(line)["words_per_second"] for line in lines)}
    missing: dict[str, str] = {}

    captioned = CaptionedSplit.build(dev, vocabulary, config.training.max_caption_length)
    with autocast(device, config.training.precision):
        hypotheses = caption_split(model, dev, config.search, device, progress=config.run.progress)
        values["train_nll"] = mean_nll(model, setup.train, device)
        values["dev_nll"] = mean_nll(model, captioned, device)
    texts = [vocabulary.text(h.words) for h in hypotheses]
    captions = [record.captions for record in dev.records]
    coco = coco_scores(texts, captions, vocabulary.unit, meteor=SCORES["METEOR"].compared)
    values |= {name: coco.values[name] for name in compared() if name in coco.values}
    missing |= {name: coco.missing[name] for name in compared() if name in coco.missing}
    words = [vocabulary.decode(h.words) for h in hypotheses]
    own = setup.references.statistics(words, compared())
    found = {name: score for part in own for name, score in part.corpus().items()}
    found |= setup.references.scores_of(words, set(compared()) - set(found))
    values |= {name: found[name] for name in compared() if name in found}
    known = [*own, *coco.statistics]
    images = numbers_of_images([part for part in known if set(part.corpus()).intersection(compared())])

    reach = gradient_reach(model, captioned, device)
    values |= {f"gradient_{k}": norm for k, norm in enumerate(reach.relative)}
    if not reach.captions:
        missing["gradient"] = f"no dev caption has {STEPS + 1} words"
    return values, missing, images


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


def _settings(values: Any, place: str = "") -> dict[str, object]:
    """Nested values by their dotted key, apart from where and on what a run ran."""
    if not isinstance(values, dict):
        return {place: values}
    flat: dict[str, object] = {}
    for key, value in values.items():
        if place or key not in ("run", "output", "resume", "overwrite"):
            flat |= _settings(value, f"{place}.{key}" if place else str(key))
    return flat
