"""Hooks of mkdocs.yml: what GitHub renders of docs/ by itself becomes pages of the site.

- A link to a file of the project, ``../captioner/model/cells.py``, leads to a page with that file. If the
  next block of code is an excerpt of it, the link leads to its line.
- A notebook becomes a page, with the output that it was saved with.
- LaTeX becomes MathML, so that the pages need no script and no network for it.
"""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(\.\./([\w./-]+)\)(?=(.*?\n```\w*\n(.*?)```)?)", re.DOTALL)
LINED = re.compile(r'<a data-line="(\d+)" href="([^"]+)">')
MATH = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sh": "bash", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every notebook, and for every file of the project that a page links to."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        for made in notebook_page(notebook, config):
            files.append(made)
    linked = {path for file in files.documentation_pages() for path, *_ in LINK.findall(file.content_string)}
    for path in sorted(linked):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"source/{path}.md", content=source_page(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files of the project become links to their pages; to a notebook, to its page."""

    def to_page(found: re.Match[str]) -> str:
        path, excerpt = found[1], found[3] or ""
        line = line_of(excerpt, path) if (ROOT / path).is_file() else 0
        return f"](source/{path}.md)" + (f'{{ data-line="{line}" }}' if line else "")

    return LINK.sub(to_page, markdown).replace(".ipynb)", ".md)")


def on_page_content(content: str, **_: Any) -> str:
    """Math as MathML, which browsers draw themselves; links to lines, whose ids mkdocs does not know yet."""

    def to_mathml(found: re.Match[str]) -> str:
        latex = html.unescape(found[2]).strip()[2:-2]  # without \( \) or \[ \]
        return convert(latex, display="inline" if found[1] == "span" else "block")

    content = LINED.sub(r'<a href="\2#__codelineno-0-\1">', content)
    return MATH.sub(to_mathml, content)


def line_of(excerpt: str, path: str) -> int:
    """The line, from 1, where an excerpt begins in a file of the project; 0 if it does not stand there."""
    wanted = dedent(excerpt).strip("\n").splitlines()
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    for start in range(len(lines) - len(wanted) + 1):
        if wanted and dedent("\n".join(lines[start : start + len(wanted)])).splitlines() == wanted:
            return start + 1
    return 0


def source_page(path: str) -> str:
    """A file with numbered lines, left out of the search."""
    text = (ROOT / path).read_text(encoding="utf-8")
    language = LANGUAGES.get(Path(path).suffix, "text")
    fence = "`" * 6
    return f"""---
search:
  exclude: true
hide: [toc]
---
# {path}

{fence}{language} linenums="1"
{text}{fence}
"""


def notebook_page(file: File, config: MkDocsConfig) -> list[File]:
    """The page of a notebook, and the pictures in its output."""
    name = file.src_uri.removesuffix(".ipynb")
    notebook, parts, made = json.loads(file.content_string), [], []
    for number, cell in enumerate(notebook["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{name}_{number}.png"
                content = base64.b64decode("".join(data["image/png"]))
                made.append(File.generated(config, picture, content=content))
                parts.append(f"![Output of the cell above]({picture})")
            elif shown := "".join(output.get("text") or data.get("text/plain") or ""):
                parts.append(f"```text\n{shown.rstrip()}\n```")
    return [File.generated(config, f"{name}.md", content="\n\n".join(parts) + "\n"), *made]
