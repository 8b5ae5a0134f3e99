"""Prints docs/api.md: the public names, with their signatures and docstrings.

python scripts/api_reference.py > docs/api.md
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

INTRODUCTION = """\
# Python

`python scripts/api_reference.py` prints this page. The names of `captioner` itself are for everyone; those of
its modules are for who changes the model or builds on it, and may move."""
SECTIONS = {
    "Captions": ("captioner.predictor:load", "captioner.predictor:Predictor", "captioner.caption:Caption",
                 "captioner.errors:CaptionerError", "captioner.config.search:SearchConfig"),
    "What shows them": ("captioner.visualize.figure:save_figure", "captioner.visualize.page:save_page",
                        "captioner.visualize.animation:save_animation"),
    "Model files": ("captioner.checkpoint.file:Checkpoint", "captioner.checkpoint.file:load_checkpoint",
                    "captioner.checkpoint.file:save_checkpoint", "captioner.vocabulary:Vocabulary"),
    "The model": ("captioner.model.captioner:build_model", "captioner.model.captioner:Captioner",
                  "captioner.model.encoder:Encoder", "captioner.model.decoder:Decoder",
                  "captioner.model.step:Step", "captioner.model.attention:Attention",
                  "captioner.model.attention:AdditiveAttention",
                  "captioner.model.attention:MultiplicativeAttention", "captioner.model.look:SoftLook",
                  "captioner.model.look:HardLook", "captioner.model.cells:Cell",
                  "captioner.model.cells:VanillaCell", "captioner.model.cells:LSTMCell",
                  "captioner.model.cells:PeepholeLSTMCell", "captioner.model.cells:CoupledLSTMCell",
                  "captioner.model.cells:GRUCell", "captioner.model.memory:Memory",
                  "captioner.model.rows:Rows", "captioner.model.rows:Captions"),
    "Search": ("captioner.decoding.search:search", "captioner.decoding.hypotheses:Hypothesis",
               "captioner.decoding.replay:replay"),
    "Training": ("captioner.training.loop:train",
                 "captioner.training.loss:caption_loss", "captioner.training.loss:attention_penalty"),
    "Data": ("captioner.data.load:load_split", "captioner.data.records:Record"),
    "Metrics": ("captioner.evaluation.evaluate:evaluate", "captioner.metrics.bleu:bleu",
                "captioner.metrics.cider:CiderD", "captioner.metrics.coco:coco_scores",
                "captioner.metrics.table:Score"),
}  # fmt: skip
HEADINGS = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises", "Returns": "Returns"}
ROLE = re.compile(r":(?:class|func|meth|data):`~?([\w.]+)`")


def main() -> None:
    parts = [INTRODUCTION]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            parts += list(entry(name))
    print("\n\n".join(parts))


def entry(name: str) -> list[str]:
    """The parts of the page about ``module:object``."""
    module, _, attribute = name.partition(":")
    what = getattr(import_module(module), attribute)
    public = import_module("captioner").__all__
    path = f"captioner.{attribute}" if attribute in public else f"{module}.{attribute}"
    parts = [f"### {attribute}", f"```python\n{signature(what, path)}\n```", *prose(inspect.getdoc(what))]
    if is_dataclass(what) and all(of.metadata.get("declaration") for of in fields(what)):
        parts.append(options(what))
    for key, member in vars(what).items() if inspect.isclass(what) else ():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if key.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
            continue
        shown = key if isinstance(member, property) else signature(function, key)
        parts += [f"#### {attribute}.{key}", f"```python\n{shown}\n```", *prose(inspect.getdoc(function))]
    return parts


def signature(what: Any, path: str) -> str:
    """``path(arguments) -> result``, a line for each argument where one line is too long."""
    if inspect.isclass(what) and issubclass(what, Exception):
        return path
    found = inspect.signature(what)
    arguments = [argument(p) for name, p in found.parameters.items() if name not in ("self", "cls")]
    result = found.return_annotation
    shown = "" if result is inspect.Signature.empty or inspect.isclass(what) else f" -> {result}"
    line = f"{path}({', '.join(arguments)}){shown}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{path}(", *(f"    {argument}," for argument in arguments), f"){shown}"])


def argument(parameter: inspect.Parameter) -> str:
    """``name: type = default``, as it stands in the code."""
    shown, default = str(parameter.replace(annotation=inspect.Parameter.empty, default=parameter.empty)), ""
    if parameter.annotation is not parameter.empty:
        shown += f": {parameter.annotation}"
    if parameter.default is not parameter.empty:
        value = repr(parameter.default)
        default = f" = {'...' if value.startswith('<') else value}"
    return shown + default


def prose(text: str | None) -> list[str]:
    """A docstring as Markdown: its sections become lists."""
    text = ROLE.sub(r"`\1`", text or "").replace("``", "`")
    parts = []
    for block in re.split(r"\n\s*\n", text):
        head, _, rest = block.partition("\n")
        if head.rstrip(":") in HEADINGS and head.endswith(":"):
            parts.append(f"**{HEADINGS[head[:-1]]}**")
            rest = inspect.cleandoc(rest)
            parts.append(rest if head == "Returns:" else items(rest))
        else:
            parts.append(block)
    return [part for part in parts if part.strip()]


def items(text: str) -> str:
    """``name: meaning`` lines, continued by indented ones, as a list."""
    lines = []
    for line in text.splitlines():
        name, colon, meaning = line.partition(": ")
        if colon and not line.startswith(" "):
            lines.append(f"- `{name}`: {meaning}")
        else:
            lines.append(f"  {line.strip()}")
    return "\n".join(lines)


def options(what: type[Any]) -> str:
    """The fields of a declared dataclass, with their meaning."""
    meanings = (re.sub(r"(<\w+>)", r"`\1`", of.metadata["declaration"].meaning) for of in fields(what))
    return "\n".join(f"- `{of.name}` ({of.default!r}): {text}" for of, text in zip(fields(what), meanings))


if __name__ == "__main__":
    main()
