"""Configuration: every shipped file composes, and whatever is wrong is told in one line."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from support import tiny

from captioner.cli.main import main
from captioner.config import data, model, schema, search, training
from captioner.config.compose import register_schemas
from captioner.config.data import ScenesConfig
from captioner.config.declare import REQUIRED
from captioner.config.model import DecoderConfig, EncoderConfig, GRUConfig, HardAttentionConfig, ModelConfig
from captioner.config.schema import SCHEMAS, SINGLE, CompareConfig, EvaluateConfig, TrainConfig
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError
from captioner.training import loop

CONF = Path(__file__).parents[2] / "conf"
CHOICES = sorted(
    (file.parent.name, file.stem) for file in CONF.glob("*/*.yaml") if file.parent.name != "experiment"
)
EXPERIMENTS = sorted(file.stem for file in CONF.glob("experiment/*.yaml"))


@cache
def composed(*overrides: str, command: str = "train") -> Any:
    register_schemas()
    with initialize_config_module("captioner.conf", version_base="1.3"):
        return compose(command, list(overrides))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``captioner ARGUMENTS`` says of bad input, after a check that it is one line and status 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    line = capsys.readouterr().err.removesuffix("\n")
    assert line.startswith("captioner: ")
    assert "\n" not in line
    return line


# --- what is shipped ------------------------------------------------------------------------------


def composed_choice(group: str, choice: str) -> Any:
    """The part as composed; every group makes another choice at once, as composing takes long."""
    choices: dict[str, list[str]] = {}
    for name, stem in CHOICES:
        choices.setdefault(name, []).append(stem)
    turn = choices[group].index(choice)
    if group != "phase":
        choices["phase"] = ["cross_entropy"]  # the other one comes with other values for other groups
    return composed(*(f"{name}={of[turn % len(of)]}" for name, of in choices.items()))[group]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_of_every_group_composes(group: str, choice: str) -> None:
    assert composed_choice(group, choice).get("name", choice).removeprefix("tf_") in (choice, "???")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(experiment: str) -> None:
    assert composed(f"experiment={experiment}") != composed()


@pytest.mark.parametrize("command", ["train", "evaluate", "compare"])
def test_every_command_composes_as_its_dataclass(command: str) -> None:
    kind = {
        "train": TrainConfig,
        "evaluate": EvaluateConfig,
        "compare": CompareConfig,
    }[command]
    arguments = ["checkpoint=model.safetensors"] if command == "evaluate" else []
    values = OmegaConf.to_container(composed(*arguments, command=command), resolve=True)
    assert type(from_plain(kind, values)) is kind


@pytest.mark.parametrize("file", sorted(CONF.glob("[!e]*/*.yaml")), ids=lambda file: file.stem)
def test_yaml_holds_only_what_differs_from_the_declaration(file: Path) -> None:
    group = file.parent.name
    schema = SINGLE.get(group) or SCHEMAS[group][file.stem]
    values = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(values, dict) and values.pop("defaults")
    declared = OmegaConf.to_container(OmegaConf.structured(schema))
    same = [key for key, value in values.get(group, values).items() if value == declared.get(key)]
    assert same == []


def test_every_selectable_part_has_a_yaml() -> None:
    assert {(group, name) for group in SCHEMAS for name in SCHEMAS[group]} <= set(CHOICES)


def test_every_schema_is_told_apart_by_its_name() -> None:
    for kinds in SCHEMAS.values():
        assert {name: kind().name for name, kind in kinds.items()} == {name: name for name in kinds}


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("cell=lstmm", ["cell", "'lstmm'", "lstm", "gru", "peephole", "coupled", "vanilla"]),
        ("encoder=vgg", ["encoder", "'vgg'", "vgg19", "resnet50", "small"]),
        ("experiment=mine", ["experiment", "'mine'", *EXPERIMENTS]),
        ("dat=scenes", ["dat:", "data", "encoder", "output"]),
        ("cell.bias=3", ["cell.bias", "forget_bias"]),
        ("training.epoch=3", ["training.epoch", "epochs", "seed"]),
        ("training.epochs=many", ["training.epochs", "'many'", "Integer"]),
        ("training.epochs=null", ["training.epochs"]),
        ("encoder.mean=[a,b,c]", ["encoder.mean", "'a'", "Float"]),
        ("run.progress=perhaps", ["run.progress", "'perhaps'"]),
        ("nonsense", ["nonsense"]),
        ("data.seed=???", ["data.seed", "data.seed=VALUE"]),
    ],
)
def test_wrong_override_is_told_with_the_choices(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str, named: list[str]
) -> None:
    line = refusal(capsys, "train", f"output={tmp_path}", override)
    assert [word for word in named if word not in line] == []


@pytest.mark.parametrize("override", ["+cell.bias=3", "++training.epoch=3", "+bias=3"])
def test_key_cannot_be_added(capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str) -> None:
    arguments = (f"output={tmp_path}", "training.epochs=0", "cell=lstm", override)
    key = override.lstrip("+").split("=")[0].rpartition(".")[2]
    assert key in refusal(capsys, "train", *arguments)


@pytest.mark.parametrize("override", ["cell.name=gru", "data.name=flickr8k"])
def test_part_cannot_be_renamed_into_one_of_other_keys(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str
) -> None:
    small = ("data.train=4", "data.val=4", "vocabulary.min_count=1", "cell=lstm")
    line = refusal(capsys, "train", f"output={tmp_path}", *small, override)
    assert override.split(".")[0] in line


# what is wrong, and what must be named
IN_TRAINING: list[tuple[str, object, list[str]]] = [
    ("optimizer.name", "sgd", ["'sgd'", "adam", "adamw", "rmsprop"]),
    ("optimizer.learning_rate", 0.0, ["0"]),
    ("training.schedule", "step", ["'step'", "constant", "linear", "cosine"]),
    ("training.warmup", 2.0, ["2", "between 0 and 1"]),
    ("training.precision", "fp8", ["'fp8'", "fp32", "bf16", "auto"]),
    ("training.epochs", 0, ["0", "at least 1"]),
    ("search.strategy", "best", ["'best'", "greedy", "beam", "sample"]),
    ("run.workers", -1, ["-1", "between 0 and"]),
    ("run.device", "toaster", ["'toaster'", "cpu"]),
]
IN_MODEL_OR_DATA: list[tuple[str, object, list[str]]] = [
    ("decoder.gate", "big", ["'big'", "none", "scalar", "vector"]),
    ("decoder.dropout", 1.0, ["1"]),
    ("encoder.fine_tune", "stage9", ["'stage9'", "stage0", "stage3"]),
    ("encoder.weights", "/no/file.pth", ["/no/file.pth", "imagenet"]),
    ("encoder.mean", [0.5], ["[0.5]", "3"]),
    ("vocabulary.min_count", 10_000, ["10000"]),
    ("vocabulary.unit", "letter", ["'letter'", "word", "character"]),
    ("data.train", 0, ["0", "between 1 and"]),
]


def training_refusal(tmp_path: Path, key: str, value: object) -> str:
    """What training says of a wrong value, from its key on."""
    run = tiny.config(tmp_path)
    run.data = ScenesConfig(train=4, val=4, image_size=32)
    group, name = key.split(".")
    setattr(getattr(run, group), name, value)
    with pytest.raises(CaptionerError) as caught:
        loop.train(run, tmp_path / "run", report=tiny.silent)
    message = str(caught.value)
    assert message.startswith(f"{key}: ") and "\n" not in message
    return message


@pytest.mark.parametrize(("key", "value", "named"), IN_TRAINING + IN_MODEL_OR_DATA)
def test_wrong_value_is_told_with_the_choices(
    tmp_path: Path, key: str, value: object, named: list[str]
) -> None:
    message = training_refusal(tmp_path, key, value)
    assert [word for word in named if word not in message] == []


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, value, _ in IN_TRAINING])
def test_wrong_value_is_refused_before_the_images_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, value: object
) -> None:
    def too_late(*_: object) -> None:
        raise CaptionerError("the images were read")

    monkeypatch.setattr(loop, "prepare", too_late)
    training_refusal(tmp_path, key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("decoder.hidden_size", 10**9),
        ("decoder.embedding_size", 10**9),
        ("attention.size", 10**30),
        ("encoder.image_size", 10**9),
        ("encoder.std", [0.5, float("nan"), 0.5]),
        ("encoder.mean", [0.5, float("inf"), 0.5]),
        ("data.train", 10**9),
        ("data.image_size", 10**9),
        ("search.beam_size", 10**400),
        ("search.max_length", 10**9),
        ("search.length_normalization", 1e308),
        ("search.temperature", float("inf")),
        ("search.seed", 2**64),
        ("training.seed", 10**30),
        ("training.batch_size", 10**30),
        ("training.clip_norm", float("nan")),
        ("training.save_minutes", float("inf")),
        ("optimizer.learning_rate", float("inf")),
        ("optimizer.weight_decay", float("nan")),
        ("attention.penalty", float("nan")),
        ("run.workers", 10**9),
    ],
)
def test_absurd_value_is_refused_before_anything_is_made_of_it(
    tmp_path: Path, key: str, value: object
) -> None:
    assert "out of range" in training_refusal(tmp_path, key, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("expectation_probability", 1.5),
        ("soft_start", -0.5),
        ("baseline_decay", -0.1),
        ("reinforce_weight", -1.0),
        ("entropy_weight", float("nan")),
    ],
)
def test_absurd_weight_of_hard_attention_is_refused(tmp_path: Path, name: str, value: float) -> None:
    run = tiny.config(tmp_path)
    run.attention = HardAttentionConfig(size=16, **{name: value})
    with pytest.raises(CaptionerError, match=rf"^attention\.{name}: {value:g} is out of range"):
        loop.train(run, tmp_path / "run", report=tiny.silent)


# --- plain values to dataclasses ------------------------------------------------------------------


def plain(**changes: Any) -> dict[str, Any]:
    """A model configuration as a checkpoint holds it."""
    values: dict[str, Any] = {
        "encoder": {"name": "small", "image_size": 32},
        "cell": {"name": "gru", "reset_after": True},
        "attention": {"name": "soft", "size": 16},
        "decoder": {"hidden_size": 16},
    }
    return values | changes


def test_from_plain_builds_the_dataclass_that_the_name_selects() -> None:
    assert from_plain(ModelConfig, plain()).cell == GRUConfig(reset_after=True)


def test_from_plain_fills_in_defaults() -> None:
    assert from_plain(ModelConfig, plain()).decoder == DecoderConfig(hidden_size=16)


def test_from_plain_gives_dataclasses_all_the_way_down() -> None:
    built = from_plain(ModelConfig, plain())
    assert all(is_dataclass(getattr(built, field.name)) for field in fields(built))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (plain(extra=1), ["here.extra:", "encoder, cell, attention, decoder"]),
        (plain(cell={"name": "gru", "bias": 1}), ["cell", "bias", "reset_after"]),
        (plain(decoder={"hidden": 1}), ["decoder", "hidden", "hidden_size"]),
        (plain(decoder={"hidden_size": "wide"}), ["decoder.hidden_size", "'wide'"]),
        (plain(decoder={"hidden_size": [1]}), ["decoder.hidden_size"]),
        (plain(decoder=3), ["decoder"]),
        (plain(cell={"name": "lstmm"}), ["cell.name", "'lstmm'", "lstm", "gru"]),
        (plain(cell={}), ["cell.name"]),
        (plain(cell=None), ["cell.name"]),
    ],
)
def test_from_plain_refuses_in_one_line(values: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(CaptionerError) as caught:
        from_plain(ModelConfig, values, "here")
    message = str(caught.value)
    assert message.startswith("here") and "\n" not in message
    assert [word for word in named if word not in message] == []


def numbers() -> list[tuple[type[Any], str]]:
    """Every field of every schema that holds numbers with a fraction."""
    groups = (model, data, training, search, schema)
    schemas = {kind for group in groups for kind in vars(group).values() if is_dataclass(kind)}
    kinds = [
        (kind, field.name, str(field.type))
        for kind in sorted(schemas, key=lambda kind: kind.__name__)
        for field in fields(kind)
    ]
    return [(schema, name) for schema, name, kind in kinds if "float" in kind]


def test_fields_of_numbers_are_found() -> None:
    names = {name for _, name in numbers()}
    assert {"dropout", "mean", "std", "encoder_learning_rate", "forget_bias", "temperature"} <= names


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "nan", "-inf"])
@pytest.mark.parametrize(("schema", "name"), numbers())
def test_no_number_of_a_configuration_is_nan_or_infinite(schema: type[Any], name: str, value: object) -> None:
    given = [0.5, value, 0.5] if name in ("mean", "std") else value
    with pytest.raises(
        CaptionerError, match=rf"^here\.{name}: .* is out of range, it must be a finite number$"
    ):
        named = {"name": "small"} if schema is EncoderConfig else {}
        from_plain(schema, {**named, name: given}, "here")


def test_from_plain_refuses_a_value_without_end() -> None:
    with pytest.raises(CaptionerError) as caught:
        from_plain(ModelConfig, plain(encoder={"name": "small", "mean": [0.5] * 10**6}), "here")
    assert str(caught.value).startswith("here.encoder.mean: [0.5, 0.5") and len(str(caught.value)) < 200


def test_from_plain_refuses_a_missing_part() -> None:
    values = plain()
    del values["attention"]
    with pytest.raises(CaptionerError, match="attention"):
        from_plain(ModelConfig, values)


@pytest.mark.parametrize(
    "values",
    [
        plain(encoder={"name": "small", "weights": "${oc.env:HOME}"}),
        plain(encoder={"name": "${oc.env:HOME}"}),
        plain(encoder={"name": "small", "mean": [0.5, 0.5, "${oc.env:HOME}"]}),
        plain(cell={"name": "${oc.env:HOME}"}),
        plain(decoder={"gate": "a ${encoder.name}"}),
        plain(decoder="${encoder}"),
    ],
)
def test_from_plain_looks_nothing_up(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "secret")
    with pytest.raises(CaptionerError) as caught:
        from_plain(ModelConfig, values)
    assert "secret" not in str(caught.value)


def test_composed_configuration_survives_the_way_through_plain_values() -> None:
    composition = composed("cell=gru", "attention=hard", "data=table", "data.train=rows.csv")
    values = OmegaConf.to_container(composition)
    assert isinstance(values, dict) and REQUIRED not in values.values()
    assert from_plain(TrainConfig, values) == OmegaConf.to_object(composition)
