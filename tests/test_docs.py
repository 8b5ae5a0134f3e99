"""The documentation is true of the project: links lead somewhere, excerpts stand in the files."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

import captioner

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted(DOCS.glob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXCERPT = re.compile(r"\]\(\.\./(captioner/[\w/]+\.py)\)[^\[]*?\n```python\n(.*?)```", re.DOTALL)
CODE = re.compile(r"^(`{3,}).*?^\1$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    lost = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_excerpts_of_the_mathematics_stand_in_the_files_that_they_are_linked_to() -> None:
    text = (DOCS / "mathematics.md").read_text(encoding="utf-8")
    excerpts = EXCERPT.findall(text)
    assert len(excerpts) == text.count("```python") > 15
    changed = [(path, excerpt) for path, excerpt in excerpts if not stands_in(excerpt, ROOT / path)]
    assert changed == []


def stands_in(excerpt: str, path: Path) -> bool:
    """Whether these lines follow one another in a file, however deep they are indented."""
    wanted, lines = excerpt.splitlines(), path.read_text(encoding="utf-8").splitlines()
    starts = range(len(lines) - len(wanted) + 1)
    return any(dedent("\n".join(lines[i : i + len(wanted)])).splitlines() == wanted for i in starts)


def test_every_page_is_in_the_navigation() -> None:
    """A new page of docs/ needs a line under ``nav`` in mkdocs.yml."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": ([\w-]+)\.md$", text, re.MULTILINE))
    assert {page.stem for page in (*DOCS.glob("*.md"), *DOCS.glob("*.ipynb"))} == named


def test_reference_of_python_is_what_the_docstrings_say(capsys: pytest.CaptureFixture[str]) -> None:
    """``python scripts/api_reference.py > docs/api.md`` makes it so."""
    runpy.run_path(str(ROOT / "scripts" / "api_reference.py"), run_name="__main__")
    assert (DOCS / "api.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_citation_and_changes_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == captioner.__version__
    assert f"## {captioner.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["references"][0]["title"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_declared_pythons_are_those_that_installs_are_tried_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    declared = [c.removeprefix(prefix) for c in project["classifiers"] if c.startswith(prefix)]
    script = (ROOT / "scripts" / "check_installs.sh").read_text(encoding="utf-8")
    tried = re.search(r"set -- ([\d. ]+) lowest", script)
    assert tried and declared and set(declared) <= set(tried[1].split())
    first, *_, last = (int(version.removeprefix("3.")) for version in tried[1].split())
    assert project["requires-python"] == f">=3.{first},<3.{last + 1}"


def test_licences_are_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = {path for pattern in project["license-files"] for path in ROOT.glob(pattern)}
    assert {path.name for path in files} == {"LICENSE", "NOTICE", "Apache-2.0.txt"}
    shipped = {
        path.name for path in (ROOT / "captioner").rglob("*") if path.suffix in (".safetensors", ".jpg")
    }
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    sources = (ROOT / "captioner" / "web" / "photos" / "README.md").read_text(encoding="utf-8")
    assert {name for name in shipped if name not in notice and name not in sources} == set()


def test_scripts_of_the_documentation_say_what_they_are() -> None:
    for name in ("docs_site", "api_reference", "run_notebook", "caption_exported"):
        assert ast.get_docstring(ast.parse((ROOT / "scripts" / f"{name}.py").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("latex2mathml")
    commands = pytest.importorskip("mkdocs.commands.build")
    config = pytest.importorskip("mkdocs.config").load_config(str(ROOT / "mkdocs.yml"), strict=True)
    config["site_dir"] = str(tmp_path)
    commands.build(config)
    page = (tmp_path / "mathematics.html").read_text(encoding="utf-8")
    assert page.count("<math ") > 30 and "arithmatex" not in page and "$$" not in page
    line = re.search(r'href="(source/captioner/model/cells\.py\.html)#(__codelineno-0-\d+)"', page)
    assert line and f'"{line[2]}"' in (tmp_path / line[1]).read_text(encoding="utf-8")
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"', page)
    assert loaded == []
