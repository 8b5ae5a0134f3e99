"""The commands of README and docs run as they are written there, on small stand-ins for what they name.

A page's commands run in its order in one folder, all but those of NOT_RUN, so a new one is run or listed.
Those of scale.md and export.md have files of their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import torch
from support import stand_ins
from support.documented import PAGES, ROOT, commands
from support.typed import Folder

INSTALLS = "scripts/check_installs.sh installs the package in empty environments"
SUITE = "runs tests, this one among them"
ADDED = "of the part that the page adds"
PARTS = "minutes; its parts are run"
NOT_RUN = {
    "pip install .": INSTALLS,
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": "another index",
    "pip install -e '.[dev]'": INSTALLS,
    "pip install pre-commit && pre-commit install": INSTALLS,
    "pip install '.[docs]' && mkdocs serve": "mkdocs build --strict is run",
    "mkdocs serve": "mkdocs build --strict is run",
    "git clone REPOSITORY captioner && cd captioner": "the address is the reader's",
    "python -m venv .venv && source .venv/bin/activate": INSTALLS,
    "bash scripts/quickstart.sh": "installs into .venv; its commands are those of docs/index.md",
    "bash scripts/test.sh": SUITE,
    "bash scripts/test.sh -m slow": SUITE,
    "bash scripts/test.sh --browser": SUITE,
    "python -m pytest tests/model": SUITE,
    "pytest -m slow": SUITE,
    "pytest -s -m slow tests/training/test_ranks.py -k two_hundred": SUITE,
    "pytest tests/test_fuzz.py": SUITE,
    "bash scripts/check_installs.sh": "gigabytes",
    "python benchmarks": PARTS,
    "python benchmarks decoder files": PARTS,
    "python benchmarks files": PARTS,
    "python tests/tools/load_caption.py --count 20000": "tests/cli/test_load.py runs it on 3,000",
    "torchrun --nproc-per-node 4 -m captioner train ...": "of docs/scale.md, where its arguments are",
    "captioner encode ...": "of docs/scale.md, where its arguments are",
    "torchrun --max-restarts": "names an option",
    "captioner export --format onnx": "names an option",
    "ray start --head": "every Ray of the machine would join it; support.processes.ray_cluster is run",
    "ray start --head --node-ip-address=127.0.0.2 --num-cpus=2": "support.processes.ray_cluster is run",
    "ray start --address ADDRESS:6379": "needs a second machine",
    "captioner compare cells=[lstm,mgu] seeds=[0,1]": ADDED,
    "captioner check data=folder data.root=DIR": ADDED,
    "captioner train data=folder data.root=DIR": ADDED,
    "ray stop": "ends every Ray of the machine",
    **{
        f"pip install 'captioner[{extra}]'": INSTALLS
        for extra in ("coco", "entmax", "export", "large", "launchers", "lite", "ray")
    },
}
OWN_FILE = ("docs/scale.md", "docs/export.md")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES if commands(page)]


def typed(page: str) -> Iterator[str]:
    """The commands of a page that are run."""
    return (command.text for command in commands(ROOT / page) if command.text not in NOT_RUN)


def possible(command: str) -> bool:
    """Whether this machine has the GPU or the browser that a command asks for."""
    if "run.device=cuda" in command:
        return torch.cuda.is_available()
    return "tests/tools/page_" not in command or shutil.which("chromedriver") is not None


def on_ray(command: str) -> bool:
    return "--ray" in command or "bulk_exercise" in command


def test_what_is_not_run_is_in_the_docs() -> None:
    written = {command.text for page in PAGES for command in commands(page)}
    assert set(NOT_RUN) - written == set()
    assert len(written) > 150 and set(OWN_FILE) < set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name in NAMES if name not in OWN_FILE])
def test_commands_run(page: str, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in (
        "README.md",
        "docs/index.md",
        "docs/own-photos.md",
    ):  # which speak of the one that comes along
        monkeypatch.delenv("CAPTIONER_CHECKPOINT")
    if page == "docs/own-photos.md":  # here the first command writes it
        (folder.path / "captions.csv").unlink()
    if page not in ("README.md", "docs/quality.md"):  # METEOR's start takes longer than a run
        folder.without("java")
    stand_ins.weights(folder.path)
    stand_ins.results(folder.path / "results.json")
    for command in typed(page):
        if on_ray(command) or not possible(command):
            continue
        if not command.startswith(("captioner serve", "curl")) or command.endswith("--help"):
            folder.type(command)
        elif command.startswith("captioner serve"):
            with folder.serving(command, "health"):
                for asked in filter(lambda other: other.startswith("curl"), typed(page)):
                    folder.type(asked)
