"""Cells compared: equal sizes, likelihoods, how far gradients reach, statistics, and the whole command."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import textbook
import torch
from support import tiny
from torch.nn import functional as F

from captioner.checkpoint.file import load_checkpoint
from captioner.cli.main import main
from captioner.config.data import DataConfig
from captioner.config.model import DecoderConfig, GRUConfig, LSTMConfig, SoftAttentionConfig
from captioner.config.schema import SCHEMAS, CompareConfig, RunConfig
from captioner.data.records import Record
from captioner.data.words import count_vocabulary
from captioner.errors import CaptionerError, DivergedError
from captioner.features.captioned import CaptionedSplit
from captioner.features.records import read_split
from captioner.features.split import encode_split
from captioner.metrics.coco import Scores
from captioner.model.attention import AdditiveAttention
from captioner.model.captioner import build_decoder, build_model
from captioner.model.cells import CELLS, Cell
from captioner.model.decoder import Decoder
from captioner.model.lstm_variants import VARIANTS
from captioner.model.rows import Captions
from captioner.training.comparison import measure as measuring
from captioner.training.comparison import plan as planning
from captioner.training.comparison import runs as cell_runs
from captioner.training.comparison.conclusion import conclusion
from captioner.training.comparison.equal_size import decoder_parameters, matching_width
from captioner.training.comparison.figure import save_comparison
from captioner.training.comparison.gradient_reach import STEPS, gradient_norms, gradient_reach
from captioner.training.comparison.likelihood import mean_nll
from captioner.training.comparison.plan import Run, plan
from captioner.training.comparison.report import as_markdown, differences
from captioner.training.comparison.results import TRAINING, Row, as_csv, chance, difference, summarize
from captioner.training.comparison.student import interval_of_mean
from captioner.vocabulary import START

CPU = torch.device("cpu")
KINDS = [
    *(kind() for kind in SCHEMAS["cell"].values()),
    GRUConfig(reset_after=True),
    *(LSTMConfig(variant=name) for name in VARIANTS),
]


@pytest.fixture
def compare(tmp_path: Path) -> CompareConfig:
    """A tiny comparison of two cells."""
    base = vars(tiny.config(tmp_path)) | {"output": str(tmp_path / "cells")}
    return CompareConfig(**base, cells=["lstm", "gru"], seeds=[0], equal=["width", "parameters"])


# --- equal size -------------------------------------------------------------------------------------


def narrow(cell: object, width: int = 128) -> CompareConfig:
    """What captioner compare trains by default, as far as sizes go."""
    config = tiny.config(Path(), cell)  # type: ignore[arg-type]
    return replace(config, decoder=DecoderConfig(64, width), attention=SoftAttentionConfig(size=64))


@pytest.mark.parametrize("cell", KINDS, ids=str)
def test_parameters_are_counted_as_they_are_built(cell: object) -> None:
    config = narrow(cell, 24)
    model = build_model(config, 33)
    built = sum(p.numel() for p in model.decoder.parameters() if p.requires_grad)
    assert decoder_parameters(config, model.encoder.features, 33) == built


@pytest.mark.parametrize("width", [128, 512])
@pytest.mark.parametrize("cell", KINDS, ids=str)
def test_matching_width_is_within_a_percent_and_none_is_closer(cell: object, width: int) -> None:
    wanted = decoder_parameters(narrow(LSTMConfig(), width), 128, 33)
    found = matching_width(narrow(cell), 128, 33, wanted)
    gaps = [abs(decoder_parameters(narrow(cell, w), 128, 33) - wanted) for w in (found - 1, found, found + 1)]
    assert min(gaps) == gaps[1] <= 0.01 * wanted


def test_matching_width_of_the_baseline_is_its_own() -> None:
    wanted = decoder_parameters(narrow(LSTMConfig(), 77), 128, 33)
    assert matching_width(narrow(LSTMConfig(), 500), 128, 33, wanted) == 77


# --- likelihood and gradients -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, CaptionedSplit]:
    """The tiny trained model with the validation split and its captions."""
    checkpoint = load_checkpoint(tiny.model_file())
    config = tiny.config(tmp_path_factory.mktemp("features"))
    records = tiny.records("val")
    split = encode_split(checkpoint.model.encoder, config.encoder, records, config.run, CPU, "")
    return checkpoint.model, CaptionedSplit.build(split, checkpoint.vocabulary, 50)


def test_nll_is_that_of_the_words_one_by_one(trained) -> None:
    model, split = trained
    total, words = 0.0, 0
    for features, of_image in zip(split.photos.batches(1), split.captions):
        for caption in of_image:
            memory, state = model.decoder.begin(model.encoder.tail(features))
            rows = Captions.build([[caption]]).rows(0)
            for word, target in zip([START, *caption], caption):
                step, state = model.decoder.step(torch.tensor([word]), state, memory, rows)
                logits = model.decoder.logits(step)
                total -= logits.log_softmax(-1)[0, target].item()
            words += len(caption)
    assert mean_nll(model, split, CPU, batch_size=3) == pytest.approx(total / words, rel=1e-4)


class Fading(Cell):
    """h = 0.8 h + W x: what happened k steps ago counts 0.8^k."""

    gates = 1

    def recur(self, share, state, linear=F.linear):
        return (share + 0.8 * state[0],)


class Remembering(Cell):
    """c = 0.9 c + W x, h = c: the memory alone is carried on."""

    gates = 1
    states = 2

    def recur(self, share, state, linear=F.linear):
        c = share + 0.9 * state[1]
        return c, c


@pytest.mark.parametrize(("kind", "kept"), [(Fading, 0.8), (Remembering, 0.9)])
def test_gradient_of_a_linear_recurrence_falls_as_its_power(kind: type[Cell], kept: float) -> None:
    cell = kind(3 + 5, 4)
    torch.nn.init.zeros_(cell.input_map.weight[:, 3:])  # where the decoder looks changes nothing
    decoder = (
        Decoder(cell, AdditiveAttention(5, 4, 6), 9, 3, 5, deep_output=False, dropout=0.0).double().eval()
    )
    captions = Captions.build([[[4, 5, 6, 7, 8, 4]], [[5, 5, 5, 5, 5, 5], [8, 7, 6, 5, 4, 6]]])
    norms = gradient_norms(decoder, torch.randn(2, 4, 5, dtype=torch.float64), captions)
    expected = torch.tensor([[kept**k for k in range(6)]] * 3, dtype=torch.float64)
    torch.testing.assert_close(norms / norms[:, :1], expected)


AFTER = [("lstm", {"after_step": True}), ("lstm", {"sentinel": True})]


@pytest.mark.parametrize(("name", "look"), [*((name, {}) for name in [*CELLS, "gru-after"]), *AFTER])
def test_gradient_is_that_of_finite_differences(
    name: str, look: dict[str, bool], make_decoder, make_annotations
) -> None:
    decoder, annotations = make_decoder(name, **look), make_annotations(1)
    caption = [4, 7, 5, 8, 6]
    captions, last = Captions.build([[caption]]), 4

    @torch.no_grad()
    def loss(at: int, part: int, unit: int, change: float) -> float:
        """The last word's, with one number of the state after a step changed."""
        memory, state = decoder.begin(annotations)
        for t, word in enumerate([START, *caption[:-1]]):
            before = state
            step, state = decoder.step(torch.tensor([word]), state, memory, captions.rows(t))
            if t == at:
                state = tuple(tensor.clone() for tensor in state)
                state[part][0, unit] += change
        logits = decoder.logits(step._replace(hidden=state[0]))
        if look:  # the last look is of the changed state too
            x = torch.cat([step.embedding, annotations.mean(1)], dim=1)
            logits, _ = textbook.after_step(decoder, annotations, step.embedding, x, before, state)
        return -logits.log_softmax(-1)[0, caption[-1]].item()

    norms = gradient_norms(decoder, annotations, captions)[0]
    for k in (0, 1, 3):
        places = [(part, unit) for part in range(decoder.cell.states) for unit in range(4)]
        slopes = [(loss(last - k, *p, 1e-5) - loss(last - k, *p, -1e-5)) / 2e-5 for p in places]
        assert norms[k].item() == pytest.approx(math.hypot(*slopes), rel=1e-5)


def test_reach_is_the_mean_over_long_captions_relative_to_no_step_back(trained) -> None:
    model, split = trained
    norms = []
    for features, of_image in zip(split.photos.batches(1), split.captions):
        annotations = model.encoder.tail(features).detach()
        for caption in of_image:
            if len(caption) - 1 >= 16:  # words, without <end>
                batch = Captions.build([[caption[:16]]])
                norms.append(gradient_norms(model.decoder, annotations, batch)[0].double().numpy())
    mean = np.mean(norms, axis=0)
    reach = gradient_reach(model, split, CPU, batch_size=3)
    assert reach.captions == len(norms) > 1
    assert reach.relative == pytest.approx(mean / mean[0], rel=1e-4)
    assert len(reach.relative) == STEPS + 1 and reach.relative[0] == 1


def test_reach_without_a_long_caption_is_empty(trained) -> None:
    model, split = trained
    sixteen_with_end = [[caption[:16] for caption in of_image] for of_image in split.captions]
    assert gradient_reach(model, CaptionedSplit(split.photos, sixteen_with_end), CPU) == ((), 0)


# --- statistics and report --------------------------------------------------------------------------

SCORES = {"vanilla": [0.20, 0.22, 0.27], "lstm": [0.30, 0.31, 0.35], "gru": [0.31, 0.32, 0.33]}


def rows(seeds: int = 3, **values: float) -> list[Row]:
    return [
        Row(cell, 128, 1000, seed, {"BLEU-4": score, "dev_nll": 2.0, "train_nll": 1.0, **values})
        for cell, scores in SCORES.items()
        for seed, score in enumerate(scores[:seeds])
    ]


def line_of(report: str, heading: str, cell: str) -> str:
    """A cell's line in the first table below a text."""
    below = report[report.index(heading) :].splitlines()
    return next(line for line in below if line.startswith(f"| {cell} "))


@pytest.mark.parametrize("scores", SCORES.values())
def test_summary_is_mean_and_sample_deviation(scores: list[float]) -> None:
    found = summarize(scores)
    assert (found.mean, found.deviation) == pytest.approx((np.mean(scores), np.std(scores, ddof=1)))
    assert summarize(scores[:1]).deviation is None


def test_difference_is_judged_by_the_deviation_of_both() -> None:
    lstm, gru, vanilla = (summarize(SCORES[name]) for name in ("lstm", "gru", "vanilla"))
    spread = np.sqrt(np.var(SCORES["vanilla"], ddof=1) + np.var(SCORES["lstm"], ddof=1))
    assert difference(vanilla, lstm).spread == pytest.approx(spread)
    assert difference(vanilla, lstm).larger is True
    assert difference(gru, lstm).larger is False
    assert difference(summarize([9.0]), lstm).larger is None


@pytest.mark.parametrize("n", [2, 3, 5])
def test_chance_is_how_often_equal_cells_differ_by_more_than_the_spread(n: int) -> None:
    draws = np.random.default_rng(0).normal(size=(200_000, 2, n))
    delta = np.diff(draws.mean(axis=2), axis=1)[:, 0]
    spread = np.sqrt(draws.var(axis=2, ddof=1).sum(axis=1))
    assert chance(n) == pytest.approx(np.mean(np.abs(delta) > spread), abs=0.005)


def test_report_has_means_spreads_and_verdicts(compare: CompareConfig) -> None:
    report = as_markdown({"width": rows()}, replace(compare, seeds=[0, 1, 2]))
    for cell, scores in SCORES.items():
        shown = f"{100 * np.mean(scores):.1f} ± {100 * np.std(scores, ddof=1):.1f}"
        assert shown in line_of(report, "## Equal width", cell)
    assert "**−9.0 (spread 4.5; seeds −11.5 to −6.5)**" in line_of(report, "Against lstm", "vanilla")
    assert "**" not in line_of(report, "Against lstm", "gru")
    assert "vanilla in BLEU-4." in report and "n = 3" in report


def test_report_of_one_seed_says_that_nothing_can_be_said(compare: CompareConfig) -> None:
    report = as_markdown({"width": rows(seeds=1)}, compare)
    assert "nothing can be said" in report and "±" not in line_of(report, "## Equal width", "gru")
    assert "(spread unknown)" in line_of(report, "Against lstm", "gru")


def drawn(cell: str, seed: int, better: float) -> Row:
    """A run with its images: CIDEr of each, and BLEU's counts."""
    random = np.random.default_rng(7)  # the images are the same for all, and as hard for each
    cider = np.clip(random.normal(0.5, 0.3, 60) + better + 0.002 * seed, 0, None)
    matched = random.integers(1, 8, (60, 1)) + (better > 0)
    counts = np.concatenate([np.repeat(matched, 4, 1), np.full((60, 4), 10), np.full((60, 2), 12)], 1)
    images = {"CIDEr": np.stack([cider, np.ones(60)], 1).tolist(), "BLEU": counts.tolist()}
    values = {"CIDEr": cider.mean(), "BLEU-4": matched.sum() / 600, "words_per_second": 1.0}
    return Row(cell, 8, 100, seed, values, images=images)


def test_differences_have_the_interval_over_photos_of_paired_runs() -> None:
    rows = [drawn("lstm", s, 0) for s in (0, 1)] + [drawn("gru", s, 0.05) for s in (0, 1)]
    (found,) = differences(rows).values()
    picks = np.random.default_rng(1).integers(60, size=(4000, 60))
    means = {
        cell: np.mean([r.images["CIDEr"] for r in rows if r.cell == cell], 0)[:, 0]
        for cell in ("lstm", "gru")
    }
    apart = (means["gru"] - means["lstm"])[picks].mean(1)
    assert found["CIDEr"].interval == pytest.approx(np.quantile(apart, [0.025, 0.975]), abs=0.001)
    counts = {c: np.array(next(r.images["BLEU"] for r in rows if r.cell == c))[picks].sum(1) for c in means}
    apart = (
        counts["gru"][:, 0] - counts["lstm"][:, 0]
    ) / 600  # all orders match alike, and no caption is short
    assert found["BLEU-4"].interval == pytest.approx(np.quantile(apart, [0.025, 0.975]), abs=0.001)
    assert found["CIDEr"].real and found["BLEU-4"].real


def table_of(**ciders: list[float | None]) -> list[Row]:
    """Runs without images, a value a seed; None: that run diverged."""
    return [
        Row(cell, 8, 100, seed, {}, {TRAINING: "no longer finite"})
        if value is None
        else Row(cell, 8, 100, seed, {"CIDEr": value})
        for cell, values in ciders.items()
        for seed, value in enumerate(values)
    ]


def concluded(rows: list[Row]) -> str:
    return conclusion(rows, differences(rows))


def test_conclusion_takes_seeds_and_photos() -> None:
    lstm = [drawn("lstm", s, 0) for s in (0, 1, 2)]
    shown = concluded([*lstm, *(drawn("gru", s, 0.05 + 0.001 * s) for s in (0, 1, 2))])
    assert "intervals over seeds and photos that leave out 0: gru in BLEU-4 (higher), CIDEr (higher)" in shown
    same = concluded([*lstm, *(drawn("gru", s, 0) for s in (0, 1, 2))])
    assert "Of the 2 differences from lstm none" in same and "does not show that they are equal" in same
    assert "hint" not in same


def test_conclusion_of_one_seed_is_nothing() -> None:
    for rows in (table_of(lstm=[0.1], gru=[0.9]), [drawn("lstm", 0, 0), drawn("gru", 0, 1)]):
        assert concluded(rows).startswith("Nothing about the cells: with one seed each")
        assert "gru" not in concluded(rows)


def test_conclusion_of_seeds_that_agree_within_their_interval_is_a_hint() -> None:
    # differences 1, 2, 9: mean 4, and its interval 4 +- 4.303 * 4.359 / sqrt(3) holds 0
    agreed = concluded(table_of(lstm=[0.50, 0.60, 0.70], gru=[0.51, 0.62, 0.79]))
    assert "none has intervals over seeds that leave out 0" in agreed
    assert "the same sign with each of the 3 seeds, which about 0.2 of 1 would have by chance" in agreed
    assert agreed.endswith("no more than a hint: gru in CIDEr (higher).")
    apart = concluded(table_of(lstm=[0.50, 0.60, 0.70], gru=[0.51, 0.58, 0.79]))
    assert "hint" not in apart and "gru" not in apart
    assert "hint" not in concluded(table_of(lstm=[0.50, 0.60], gru=[0.51, 0.62]))  # as likely as not


def test_conclusion_of_seeds_that_agree_closely_stands_however_far_apart_the_seeds_are() -> None:
    rows = table_of(lstm=[0.20, 0.50, 0.90], gru=[0.31, 0.60, 0.99], vanilla=[0.90, 0.50, 0.20])
    found = differences(rows)["gru"]["CIDEr"]
    assert found.larger is False and found.real
    shown = concluded(rows)
    assert "differ from lstm by intervals over seeds that leave out 0: gru in CIDEr (higher);" in shown
    assert "of the 2 differences at most about 0.1 would by chance, and the others are not shown" in shown
    assert "vanilla" not in shown


def test_conclusion_names_cells_that_diverged_and_compares_the_others() -> None:
    rows = table_of(lstm=[0.5, 0.6, 0.7], gru=[0.61, 0.7, 0.79], niaf=[0.5, None, 0.7], nfg=[None] * 3)
    assert "leave out 0: gru in CIDEr (higher);" in concluded(rows)
    assert concluded(rows).endswith("; niaf, nfg diverged in training and are not compared.")
    assert concluded(table_of(lstm=[0.5, 0.6], gru=[None, 0.6])) == (
        "Nothing: there is no cell to compare lstm with; gru diverged in training and is not compared."
    )
    assert concluded(table_of(lstm=[0.5, None], gru=[0.5, 0.6])).startswith("Nothing: lstm, with which")
    assert concluded(table_of(lstm=[0.5, 0.6])) == "Nothing: there is no cell to compare lstm with."


def test_conclusion_of_two_cells_speaks_of_one_difference() -> None:
    none = concluded(table_of(lstm=[0.5, 0.6, 0.7], gru=[0.4, 0.6, 0.8]))
    assert none.startswith("Of the one difference from lstm none has intervals over seeds that leave out 0")
    shown = concluded(table_of(lstm=[0.5, 0.6, 0.7], gru=[0.4, 0.5, 0.61]))
    assert "gru in CIDEr (lower); of the one difference at most about 0.1 would by chance." in shown


def test_report_and_figure_of_a_run_that_diverged(compare: CompareConfig, tmp_path: Path) -> None:
    rows = table_of(lstm=[0.5, 0.6], gru=[0.5, 0.6], niaf=[None, 0.6])
    report = as_markdown({"width": rows}, replace(compare, seeds=[0, 1]))
    assert line_of(report, "Against lstm", "niaf").split("|")[2].strip() == "–"
    assert "Not measured: training (no longer finite)." in report
    save_comparison({"width": rows}, tmp_path / "cells.png")
    assert (tmp_path / "cells.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("n", "t"), [(2, 12.706), (3, 4.303), (4, 3.182), (5, 2.776), (10, 2.262)])
def test_interval_over_seeds_is_students(n: int, t: float) -> None:
    """The 97.5 % points as printed tables have them."""
    values = np.random.default_rng(n).normal(3, 2, n)
    half = t * values.std(ddof=1) / math.sqrt(n)
    wanted = (values.mean() - half, values.mean() + half)
    assert interval_of_mean(values.tolist()) == pytest.approx(wanted, abs=0.001)


def test_csv_holds_every_run() -> None:
    table = list(csv.DictReader(as_csv({"width": rows(), "parameters": rows()}).splitlines()))
    assert len(table) == 18
    got = [float(line["BLEU-4"]) for line in table if (line["equal"], line["cell"]) == ("parameters", "gru")]
    assert got == SCORES["gru"]


@pytest.mark.parametrize("values", [{}, {f"gradient_{k}": 0.5**k for k in range(16)} | {"CIDEr": 1.0}])
def test_figure_is_drawn_with_what_there_is(values: dict[str, float], tmp_path: Path) -> None:
    save_comparison({"width": rows(**values)}, tmp_path / "cells.png")
    assert (tmp_path / "cells.png").read_bytes()[:4] == b"\x89PNG"


# --- which runs there are ---------------------------------------------------------------------------


def test_cells_share_their_settings_and_the_tables_their_runs(compare: CompareConfig) -> None:
    runs = plan(replace(compare, seeds=[3, 4]))
    assert [run.config.training.seed for run in runs] == [3, 3, 3, 4, 4, 4]
    shared = [run for run in runs if run.tables == ("width", "parameters")]
    assert {run.cell for run in shared} == {"lstm"}
    assert len({run.folder for run in runs}) == len(runs)
    lstm, gru, wide = runs[:3]
    assert gru.config.decoder.hidden_size == lstm.config.decoder.hidden_size == 16
    assert wide.cell == "gru" and abs(wide.parameters - lstm.parameters) < lstm.parameters - gru.parameters
    assert replace(gru.config, cell=lstm.config.cell) == lstm.config


def test_weights_are_those_of_an_attention_that_scores_by_the_local_part(compare: CompareConfig) -> None:
    (run, *_) = plan(replace(compare, encoder=replace(compare.encoder, name="small_stride4", local="stage0")))
    assert run.parameters == built(run, 128 + 24, 24) < built(run, 128 + 24, 0)


def built(run: Run, features: int, local: int) -> int:
    """The weights of a run's decoder over annotations of this width, with the words of its data."""
    words = len(count_vocabulary(read_split(run.config.data, "train", run.config.run), run.config.vocabulary))
    decoder = build_decoder(run.config, features, words, local)
    return sum(weight.numel() for weight in decoder.parameters())


def test_gru_comes_both_ways(compare: CompareConfig) -> None:
    runs = plan(replace(compare, cells=["lstm", "gru", "gru_reset_after"], equal=["width"]))
    assert [run.config.cell for run in runs] == [LSTMConfig(), GRUConfig(), GRUConfig(reset_after=True)]


def test_greff_names_the_variants_of_the_lstm(compare: CompareConfig) -> None:
    runs = plan(replace(compare, cells="greff", equal=["width"]))
    assert [run.cell for run in runs] == ["lstm", "peephole", "coupled", *VARIANTS]
    assert [run.config.cell for run in runs[3:]] == [LSTMConfig(variant=name) for name in VARIANTS]
    runs = plan(replace(compare, cells=["lstm", "lstm_layer_norm", "gru_layer_norm"], equal=["width"]))
    assert [run.config.cell for run in runs[1:]] == [LSTMConfig(layer_norm=True), GRUConfig(layer_norm=True)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": ["lstm", "gruu"]}, ["gruu", "gru_reset_after"]),
        ({"cells": 3}, ["cells: 3", "neither a name nor a list"]),
        ({"cells": ["gru"]}, ["cells", "lstm must be among them"]),
        ({"seeds": []}, ["seeds", "at least one"]),
        ({"seeds": [1, 1]}, ["seeds", "none twice"]),
        ({"equal": ["height"]}, ["equal", "width, parameters"]),
    ],
)
def test_comparison_without_sense_is_refused(compare: CompareConfig, change, words: list[str]) -> None:
    with pytest.raises(CaptionerError) as caught:
        plan(replace(compare, **change))
    assert [word for word in words if word not in str(caught.value)] == []


# --- the command ------------------------------------------------------------------------------------


def command(folder: Path, *overrides: str) -> int:
    arguments = ["~experiment", f"output={folder}", f"run.cache={folder.parent / 'cache'}"]
    arguments += ["cells=[lstm,gru]", "seeds=[0]", *tiny.OVERRIDES, *overrides]
    with pytest.raises(SystemExit) as caught:
        main(["compare", *arguments])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A comparison that was interrupted before its last run, and gone on with."""
    folder = tmp_path_factory.mktemp("compare") / "cells"
    trained: list[str] = []

    def train(config, output, *arguments, **options):
        if len(trained) == 2 and not interrupted:
            interrupted.append(output.name)
            raise KeyboardInterrupt
        trained.append(output.name)
        return real(config, output, *arguments, **options)

    real, interrupted = cell_runs.train, []
    with pytest.MonkeyPatch.context() as patch:
        missing = Scores({}, "captioner", {"CIDEr": "pip install 'captioner[coco]'"})
        patch.setattr(measuring, "coco_scores", lambda *_, **__: missing)
        patch.setattr(cell_runs, "train", train)
        assert command(folder) == 130
        assert not (folder / "report.md").exists()
        assert command(folder) == 0
    assert interrupted == [trained[-1]]
    assert len(trained) == len(set(trained)) == 3  # nothing twice
    yield folder


def test_command_writes_what_was_measured(finished: Path) -> None:
    table = list(csv.DictReader((finished / "runs.csv").read_text().splitlines()))
    assert [(line["equal"], line["cell"]) for line in table] == [
        *(("width", "lstm"), ("width", "gru")),
        *(("parameters", "lstm"), ("parameters", "gru")),
    ]
    for line in table:
        run = finished / "runs" / f"{line['cell']}-{line['hidden_size']}-seed0"
        checkpoint = load_checkpoint(run)
        assert sum(p.numel() for p in checkpoint.model.decoder.parameters()) == int(line["parameters"])
        assert checkpoint.scores["BLEU-4"] == pytest.approx(float(line["BLEU-4"]))
        assert checkpoint.config.cell.name == line["cell"]
        speed = json.loads((run / "timings.jsonl").read_text())["words_per_second"]
        assert float(line["words_per_second"]) == speed
        assert float(line["gradient_0"]) == 1 and float(line["gradient_15"]) > 0
        assert 0 < float(line["dev_nll"]) < 10
        assert not (run / "resume.pt").exists()
    assert (finished / "cells.png").stat().st_size > 10_000


def test_report_names_what_is_missing(finished: Path) -> None:
    report = (finished / "report.md").read_text()
    assert "Not measured: CIDEr (pip install 'captioner[coco]')." in report
    assert "## Equal number of weights" in report and "nothing can be said" in report


def test_finished_comparison_is_only_reported_again(finished: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(cell_runs, "train", lambda *_, **__: pytest.fail("trained again"))
    before = (finished / "report.md").read_text()
    assert command(finished) == 0
    assert "3 runs, 3 of them finished" in capsys.readouterr().out
    assert (finished / "report.md").read_text() == before


def test_results_of_other_data_are_refused(finished: Path, capsys, monkeypatch) -> None:
    read = planning.read_split

    def reworded(config: DataConfig, split: str, run: RunConfig) -> list[Record]:
        first, *rest = read(config, split, run)
        return [replace(first, captions=first.captions[::-1]), *rest]

    monkeypatch.setattr(planning, "read_split", reworded)
    assert command(finished) == 2
    line = capsys.readouterr().err
    assert "lstm-16-seed0 was trained and measured on other images or captions" in line
    assert line.startswith("captioner: output: ") and line.count("\n") == 1


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epochs=2", ["lstm-16-seed0", "training.epochs=1, not 2", "another output"]),
        ("cell=gru", ["cell=gru", "cells=[lstm,gru]"]),
        ("training.seed=3", ["training.seed=3", "seeds=[0,1,2]"]),
    ],
)
def test_other_settings_are_refused(finished: Path, capsys, override: str, words: list[str]) -> None:
    assert command(finished, override) == 2
    line = capsys.readouterr().err
    assert line.startswith("captioner: ") and line.count("\n") == 1
    assert [word for word in words if word not in line] == []


def test_run_that_diverges_is_a_result_that_is_kept(compare: CompareConfig, monkeypatch) -> None:
    def train(*_: object, **__: object) -> None:
        raise DivergedError("training: the loss is no longer finite")

    (run, *_) = plan(compare)
    monkeypatch.setattr(cell_runs, "train", train)
    run.folder.mkdir(parents=True)
    row = cell_runs.carry_out(run)
    assert row.values == {}
    assert row.missing == {TRAINING: "lstm-16-seed0 diverged: training: the loss is no longer finite"}
    assert json.loads((run.folder / "result.json").read_text())["missing"] == row.missing


def test_run_that_fails_is_named(compare: CompareConfig) -> None:
    (run, *_) = plan(compare)
    broken = replace(run.config, training=replace(run.config.training, precision="fp8"))
    with pytest.raises(CaptionerError, match=r"lstm-16-seed0: training\.precision: 'fp8'"):
        cell_runs.carry_out(replace(run, config=broken))
