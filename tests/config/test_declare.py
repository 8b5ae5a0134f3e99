"""Every declared value is refused where it means nothing, before anything is done; what is read from it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from captioner.cli.main import main
from captioner.config.compose import compose_plain
from captioner.config.declare import Declaration, check, declarations, value
from captioner.config.reference import help_text, markdown
from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE, EvaluateConfig
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError

DOCS = Path(__file__).parents[2] / "docs"


def bad_value(declared: Declaration) -> str | None:
    """A value just beyond what is declared, as typed; None where any value of the type will do."""
    if declared.choices:
        return declared.choices[0] + "x"
    if declared.below < inf:
        return f"{declared.below:g}"
    if declared.low > -inf:
        number = f"{declared.low - 1:.9g}"
        return f"[{', '.join([number] * (declared.length or 1))}]" if declared.length else number
    return None


def bad_overrides() -> Iterator[tuple[str, str, str]]:
    """The choices that a key needs, the key, and a bad value for it, for every key of ``captioner train``."""
    kinds = [(group, "", kind) for group, kind in SINGLE.items()]
    kinds += [(group, name, kind) for group, of in SCHEMAS.items() for name, kind in of.items()]
    seen = set()
    for group, name, kind in kinds:
        for of, declared in declarations(kind):
            bad = bad_value(declared)
            if bad is not None and of.name != "name" and (group, of.name, bad) not in seen:
                seen.add((group, of.name, bad))
                yield f"{group}={name}" if name else "cell=lstm", f"{group}.{of.name}", bad


BAD = list(bad_overrides())
NEEDED = {"data=flickr8k": ["data.root=photos"]}  # before which no value is judged


def test_bad_values_are_found() -> None:
    assert len(BAD) > 45
    assert {"decoder.gate", "attention.inference", "encoder.std", "data.train"} <= {key for _, key, _ in BAD}


@pytest.mark.parametrize(("choice", "key", "bad"), BAD, ids=[key for _, key, _ in BAD])
def test_bad_value_leaves_nothing_behind(
    choice: str,
    key: str,
    bad: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["train", choice, *NEEDED.get(choice, ()), f"{key}={bad}", "output=run"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"captioner: {key}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("override", ["encoder.fine_tune=stage9", "encoder.last_stage=stage9", "cell=lstmm"])
def test_name_that_is_not_there_leaves_nothing_behind(
    override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["train"], ["compare", "seeds=[0]"]):
        with pytest.raises(SystemExit):
            main([*command, override, "output=run"])
    assert list(tmp_path.iterdir()) == []


def test_instance_is_checked_with_its_groups() -> None:
    config = EvaluateConfig(SCHEMAS["data"]["scenes"](), SearchConfig(beam_size=0), SINGLE["run"](), "model")
    with pytest.raises(CaptionerError, match=r"^search\.beam_size: 0 is out of range"):
        check(config)


def test_bounds_are_inclusive_and_null_is_never_refused() -> None:
    @dataclass
    class Some:
        number: int | None = value(1, "", low=0, high=2)
        share: float = value(0.5, "", low=0, below=1)

    for good in (Some(0), Some(2), Some(None), Some(share=0.999)):
        check(good)
    for bad in (Some(-1), Some(3), Some(share=1.0), Some(share=-0.1)):
        with pytest.raises(CaptionerError):
            check(bad)


# --- what is read from the declarations -----------------------------------------------------------------


def every_schema() -> list[type[Any]]:
    kinds = [kind for of in SCHEMAS.values() for kind in of.values()]
    return [*COMMANDS.values(), *SINGLE.values(), *kinds]


@pytest.mark.parametrize("schema", every_schema(), ids=lambda schema: schema.__name__)
def test_every_value_is_declared_with_its_meaning(schema: type[Any]) -> None:
    declared = {of.name: declaration.meaning for of, declaration in declarations(schema)}
    groups = {of.name for of in fields(schema) if of.name in (*SCHEMAS, *SINGLE)}
    assert declared.keys() | groups == {of.name for of in fields(schema)}
    assert all(meaning.strip() for meaning in declared.values())


def test_configuration_page_is_current() -> None:
    """``python -m captioner.config.reference > docs/configuration.md`` makes it so."""
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_key(command: str) -> None:
    text = help_text(command)
    groups = {of.name for of in fields(COMMANDS[command]) if of.name in (*SCHEMAS, *SINGLE)}
    keys = {of.name for of, _ in declarations(COMMANDS[command])}
    for group in groups:
        kinds = SCHEMAS.get(group, {"": SINGLE.get(group)}).values()
        keys |= {f"{group}.{of.name}" for kind in kinds for of, _ in declarations(kind) if of.name != "name"}
    assert {key for key in keys if f"  {key}=" not in text} == set()
    assert "schema" not in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_what_the_command_starts_from(command: str) -> None:
    composed = compose_plain(command, ["checkpoint=X"] if command == "evaluate" else [])
    shown = defaultdict(list)  # data=scenes and data=table both have a data.train
    for key, text in re.findall(r"^  ([a-z_.]+)=(.*?)(?:  |$)", help_text(command), re.M):
        shown[key].append(parsed(text))
    for key, item in flat(composed):
        if key != "checkpoint" and not key.endswith(".name"):
            assert item in shown[key], key


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in values.items():
        if isinstance(item, dict):
            yield from flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def parsed(text: str) -> Any:
    """A value as omegaconf reads it from the command line."""
    return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed_without_torch(command: str) -> None:
    program = (
        "import sys\n"
        "from captioner.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(sorted({'torch', 'hydra', 'numpy'} & set(sys.modules)))\n"
    )
    arguments = [sys.executable, "-c", program, command, "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_file_without_its_schema_is_told_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "mine.yaml").write_text("name: lstm\nforget_bias: 2.0\n")
    with pytest.raises(SystemExit):
        main(["train", f"--config-dir={tmp_path}", "cell=mine", f"output={tmp_path / 'run'}"])
    line = capsys.readouterr().err
    assert line.startswith("captioner: cell=mine: ") and "defaults: [/schema/cell/" in line


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("decoder.hiden_size=3", "hidden_size"),
        ("encodr=small", "encoder"),
        ("cell=grru", "gru"),
        ("decoder.gate=scalr", "scalar"),
        ("experiment=quikstart", "quickstart"),
    ],
)
def test_misspelt_word_suggests_the_nearest(
    override: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", override])
    assert f"(did you mean {nearest}?)" in capsys.readouterr().err
