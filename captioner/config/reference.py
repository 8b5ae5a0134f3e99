"""Every key of the configuration for people: what ``--help`` prints, and docs/configuration.md.

``python -m captioner.config.reference`` prints the page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from itertools import groupby
from typing import Any

from captioner.config.declare import REQUIRED, as_typed, choices_of, declarations
from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE
from captioner.config.starting import changed_by, start_of

WIDTH, INDENT = 100, 37
EXAMPLES = {
    "train": """\
Choose a part by its name, change a value by its key, or train every combination with -m:

  captioner train cell=gru data=flickr8k data.root=DIR training.epochs=20
  captioner train -m cell=lstm,gru
  captioner train resume=RUN                             resume the run in the folder RUN
  captioner train phase=self_critical init=RUN           train its model further, on CIDEr-D""",
    "encode": """\
Takes what captioner train takes, and computes what the encoder's frozen part makes of all images; train
then finds it and begins at once. Shards of 2,000 images that are there are left out, so the same command
continues, and several commands, on machines that see the same files, divide the work:

  captioner encode experiment=flickr8k_mobilenet data.root=DIR          on this machine
  captioner encode experiment=... data.root=DIR --shards 0/4            and 1/4, 2/4, 3/4 elsewhere
  captioner encode experiment=... data.root=DIR --ray auto              Ray schedules the shards
  captioner encode checkpoint=MODEL data=table data.test=T 'splits=[test]'   for captioner evaluate

  --shards I/N      encode every N-th shard, from I = 0 to N-1
  --ray auto|local  let Ray schedule the shards: on the cluster that runs, or on the cores of this machine
  --actors N        with --ray: at most so many processes
  --output DIR      folder of caches, which training takes as run.cache=DIR""",
    "evaluate": """\
  captioner evaluate checkpoint=model.safetensors data=flickr8k data.root=DIR output=scores
  captioner evaluate checkpoint=RUN split=val grounding=true    on the data of the run, unless data= is given
  captioner evaluate 'checkpoint=[A,B,C]'                an ensemble""",
    "compare": """\
Every cell is trained with every seed, once at the configured hidden size and once at the one that gives its
decoder as many weights as lstm's. report.md, cells.png and runs.csv in the output folder hold parameters,
speed, BLEU-4, CIDEr, likelihood, how far back the gradient reaches, and which differences are larger than
the spread between seeds. The same command resumes where it stopped; finished runs are not repeated.

  captioner compare                                      generated scenes
  captioner compare experiment=quickstart seeds=[0,1] training.epochs=2
  captioner compare experiment=flickr8k_mobilenet data.root=DIR decoder.hidden_size=256 output=runs/f8k

Every key of captioner train can be set too, except cell, training.seed and resume.""",
    "check": """\
Reads every caption and every image of a dataset: unreadable images, leaks between splits, duplicates,
unknown words. Exit status: 0 if training would go through, 1 if it would stop, 2 for a wrong command line,
3 if training would go through and the model be useless.

  captioner check data=table data.train=train.csv data.val=val.csv output=report.json""",
}
Row = tuple[str, str, str, str]  # key, default, what the value may be, meaning


def help_text(command: str) -> str:
    """What ``captioner COMMAND --help`` prints."""
    schema = COMMANDS[command]
    start = start_of(command)
    lines = [f"usage: captioner {command} [KEY=VALUE ...]", "", _title(schema), "", EXAMPLES[command], ""]
    lines += ["Keys, with the values they start from:", "", *_lines(_rows(schema), start.values)]
    for group in (of.name for of in fields(schema) if of.name in (*SCHEMAS, *SINGLE)):
        lines += ["", *_heading(group, start.chosen[group])]
        for heading, rows in _sections(group):
            lines += [f"  with {heading}:"] * bool(heading) + list(_lines(rows, start.values))
    if "experiment" in start.chosen:
        lines += ["", *_heading("experiment", start.chosen["experiment"] or "NAME")]
        lines += ["  values for several groups at once"]
    return "\n".join([*lines, "", "--cfg job prints the configuration that the arguments make."])


def markdown() -> str:
    """docs/configuration.md."""
    parts = ["# Configuration", _INTRODUCTION]
    for command, schema in COMMANDS.items():
        parts += [f"## captioner {command}", _title(schema), _table(_rows(schema))]
    for group in (*SCHEMAS, *SINGLE):
        choices = choices_of(group)
        parts.append(f"## {group}")
        if len(choices) > 1:
            parts.append(_choices(group))
        for heading, rows in _sections(group):
            parts += [f"### {heading}"] * bool(heading) + [_table(rows)]
    parts += ["## experiment", "Values for several groups at once.", _choices("experiment")]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
Every key, with its default, what it may be and what it means; `python -m captioner.config.reference` prints
this page. A part is chosen by its name (`cell=gru`), a value changed by its key (`training.epochs=20`).
After a choice stand the values that it changes. `captioner COMMAND --help` shows the values that a command
starts from."""


def _title(schema: type[Any]) -> str:
    return str(schema.__doc__).partition(": ")[2].capitalize()


def _choices(group: str) -> str:
    """The choices of a group, with what each changes."""
    changes = {name: changed_by(group, name) for name in choices_of(group)}
    plain = [f"`{group}={name}`" for name, changed in changes.items() if not changed]
    lines = ["- " + ", ".join(plain)] * bool(plain)
    for name, changed in changes.items():
        if changed:
            values = ", ".join(f"`{key}={as_typed(item)}`" for key, item in changed.items())
            lines.append(f"- `{group}={name}`: {values}")
    return "\n".join(lines)


def _sections(group: str) -> Iterator[tuple[str, list[Row]]]:
    """The keys of a group: those of all its choices, then those that only some have."""
    if group in SINGLE:
        yield "", _rows(SINGLE[group], f"{group}.")
        return
    having: dict[Row, list[str]] = {}
    for name, kind in SCHEMAS[group].items():
        for row in _rows(kind, f"{group}."):
            having.setdefault(row, []).append(name)
    common_first = sorted(having.items(), key=lambda item: -len(item[1]))
    for names, rows in groupby(common_first, key=lambda item: item[1]):
        heading = "" if len(names) == len(SCHEMAS[group]) else f"{group}={', '.join(names)}"
        yield heading, [row for row, _ in rows]


def _rows(schema: type[Any], prefix: str = "") -> list[Row]:
    return [
        (f"{prefix}{of.name}", _default(of), declared.limits, declared.meaning)
        for of, declared in declarations(schema)
        if not (prefix and of.name == "name" and declared.group)
    ]


def _default(of: Field[Any]) -> str:
    default = of.default_factory() if of.default_factory is not MISSING else of.default
    return "" if default == REQUIRED else as_typed(default)


def _heading(group: str, chosen: str) -> list[str]:
    choices = choices_of(group)
    text = f"{group}={chosen}" + f"  ({', '.join(choices)})" * (len(choices) > 1)
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * (len(group) + len(chosen) + 4))


def _lines(rows: list[Row], start: dict[str, Any]) -> Iterator[str]:
    for key, declared, values, meaning in rows:
        default = as_typed(start[key]) if key in start else declared
        text = meaning + f" ({values})" * bool(values)
        first = f"  {key}={default or 'VALUE'}  "
        yield textwrap.fill(text, WIDTH, initial_indent=f"{first:<{INDENT}}", subsequent_indent=" " * INDENT)


def _table(rows: list[Row]) -> str:
    head = ["| key | default | values | meaning |", "| :-- | :-- | :-- | :-- |"]
    cells = [
        [f"`{key}`", f"`{default}`" if default else "required", values, meaning.replace("<unk>", "`<unk>`")]
        for key, default, values, meaning in rows
    ]
    return "\n".join(head + [f"| {' | '.join(row)} |" for row in cells])


if __name__ == "__main__":
    print(markdown(), end="")
