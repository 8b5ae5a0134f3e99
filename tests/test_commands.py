"""The commands of README and docs, as they are written there.

Each composes its configuration. Those of README, the start page and own-photos.md that need no data set are
run, one after the other, in a folder with a few photos; where they train or evaluate, SHORTER is added.
"""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from captioner.checkpoint.pretrained import NAME, model_path
from captioner.cli.encode import add_flags
from captioner.cli.main import COMMANDS, main
from captioner.cli.parsing import Parser
from captioner.config.compose import compose_plain
from captioner.config.paths import as_they_stand
from captioner.config.schema import COMMANDS as CONFIGURED
from captioner.config.strict import from_plain

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHOICES_TO_COME = ("mgu", "folder")  # of docs/extending.md
SMALL = ["run.cache=cache", "run.progress=false", "run.compile=false"]
NARROW = ["encoder.image_size=64", "attention.size=16", "decoder.hidden_size=16", "decoder.embedding_size=16"]
SCENES = ["data.train=16", "data.val=4", "data.test=4"]
SHORTER = {  # by what stands in a command, first match; None: it is not run
    "data.root=": None,
    "captioner serve": None,
    "=RUN": None,
    "RUN ": None,
    "resume=": None,
    "=SOFT": None,
    "captioner compare": None,  # eighteen runs
    "init=pretrained": [*SMALL, "training.epochs=1"],
    "checkpoint=scenes": [*SCENES[2:], "run.cache=cache"],
    "data=table data.train=train.csv data.val=val.csv encoder": [
        *SMALL,
        *NARROW,
        "encoder.weights=null",  # which is a download
        "training.epochs=1",
        "vocabulary.min_count=1",
    ],
    "captioner train": [*SMALL, *SCENES, *NARROW, "training.epochs=1", "vocabulary.min_count=1"],
}


def commands(page: Path) -> Iterator[str]:
    """The lines of indented code that call captioner, without their comments."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for line in re.sub(r"\\\n *", "", text).splitlines():
        if re.match(rf"    captioner ({'|'.join(COMMANDS)})( |$)", line):
            yield re.sub(r"\s+#.*", "", line).strip()


WRITTEN = [(page, command) for page in PAGES for command in commands(page)]
COMPOSED = [
    (page, shlex.split(command))
    for page, command in WRITTEN
    if command.split()[1] in CONFIGURED and "--help" not in command
]


def test_commands_are_found() -> None:
    assert len(COMPOSED) > 30 and set(CONFIGURED) == {c[1] for _, c in COMPOSED}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "command"), COMPOSED, ids=[f"{p.name}-{' '.join(c[1:])[:60]}" for p, c in COMPOSED]
)
def test_command_composes(page: Path, command: list[str]) -> None:
    _, name, *arguments = command
    if any(choice in " ".join(arguments) for choice in CHOICES_TO_COME):
        pytest.skip("of the part that the page adds")
    if any(argument.startswith("resume=") for argument in arguments):
        pytest.skip("judged against the configuration of its run")
    if name == "encode":
        parser = Parser(name, "")
        add_flags(parser)
        _, arguments = parser.parse_known_args(arguments)
    if "-m" in arguments:  # the first of its runs
        arguments = [a.partition(",")[0] for a in arguments if a != "-m"]
    config = from_plain(CONFIGURED[name], compose_plain(name, as_they_stand(name, arguments)))
    chosen = dict(argument.split("=", 1) for argument in arguments)
    if "$" not in (output := chosen.get("output", "$")):
        assert config.output == output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the commands name: photos, tables of captions, a model."""
    photos = files("captioner.web").joinpath("photos")
    for to in ("photos", "holiday", "holiday/beach"):
        (tmp_path / to).mkdir()
    for name in ("cat", "coffee", "hopper", "rocket"):
        image = photos.joinpath(f"{name}.jpg").read_bytes()
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(image)
        (tmp_path / "holiday" / "beach" / f"{name}.jpg").write_bytes(image)
    shutil.copy(tmp_path / "photos" / "cat.jpg", tmp_path / "photo.jpg")
    for table, names in (("train", ("cat", "coffee")), ("val", ("hopper",)), ("captions", ("cat", "coffee"))):
        with open(tmp_path / f"{table}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "caption"])
            rows.writerows([f"photos/{name}.jpg", f"a {name} on a table"] for name in names * 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPTIONER_CHECKPOINT", raising=False)
    monkeypatch.setenv("CAPTIONER_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/own-photos.md"])
def test_commands_run(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if page == "README.md":  # the model of one's own training that it captions with
        (folder / "mine").mkdir()
        shutil.copy(model_path(NAME), folder / "mine" / "model.safetensors")
    if page == "docs/own-photos.md":  # here the first command writes it
        (folder / "captions.csv").unlink()
    ran = []
    for command in commands(ROOT / page):
        more = next((more for part, more in SHORTER.items() if part in command), [])
        if more is None:
            continue
        try:
            main([*shlex.split(command)[1:], *more])
        except SystemExit as end:
            useless = 3 if command.split()[1] == "check" else None  # so few photos make no model
            assert end.code in (0, None, useless), f"{command}: {capsys.readouterr().err}"
        ran.append(command)
    assert len(ran) >= 4
    left = {path.name for path in folder.iterdir()}
    assert {"README.md": "figures", "docs/index.md": "pages", "docs/own-photos.md": "maps"}[page] in left
