"""A command line parser whose errors are one line, with the nearest option."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from captioner.errors import CaptionerError

UNKNOWN = re.compile(r"unrecognized arguments: (.*)")


class Parser(argparse.ArgumentParser):
    """Takes positional arguments and options in any order; abbreviated options are not taken.

    After ``--`` come paths alone, such as ``-dash.png``.
    """

    def __init__(self, command: str, description: str, **settings: Any) -> None:
        super().__init__(f"captioner {command}", description=description, allow_abbrev=False, **settings)
        self.command = command

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = list(args or ())
        if "--" in given:  # which intermixed arguments lose sight of
            end = given.index("--")
            paths = [f"./{a}" if a.startswith("-") and a != "-" else a for a in given[end + 1 :]]
            given = given[:end] + paths
        return self.parse_intermixed_args(given, namespace)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # declared to argparse, -0 would make every negative number an option
        return super().parse_known_args(["--null" if a == "-0" else a for a in args or ()], namespace)

    def error(self, message: str) -> NoReturn:
        """Raises:
        CaptionerError: always, in one line.
        """
        if unknown := UNKNOWN.match(message):
            message = f"there is no option {unknown[1]}{self._nearest(unknown[1].split()[0])}"
        raise CaptionerError(f"{self.command}: {message}; see captioner {self.command} --help")

    def _nearest(self, option: str) -> str:
        known = [name for action in self._actions for name in action.option_strings if len(name) > 2]
        near = difflib.get_close_matches(option.split("=")[0], known, 1)
        return f" (did you mean {near[0]}?)" if near else ""


def home_path(typed: str) -> Path:
    """A path of an option, in which ``~`` is the user's home; shells leave it alone in ``--output=~/x``."""
    return Path(os.path.expanduser(typed))


def add_model(parser: argparse._ActionsContainer) -> None:
    """The argument MODEL, which may be left out."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="a model.safetensors, or its run folder (default: $CAPTIONER_CHECKPOINT, else the model that "
        "comes with captioner)",
    )


def add_checkpoint(parser: argparse._ActionsContainer) -> None:
    """``--checkpoint``, which may be given several times."""
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        action="append",
        help="a model.safetensors, or its run folder; given again, the models caption together (default: "
        "$CAPTIONER_CHECKPOINT, else pretrained, the model that comes with captioner)",
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """``--device`` and ``--precision``."""
    from captioner.config.training import OF_PRECISION
    from captioner.kernels import PRECISIONS

    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", default="auto", choices=PRECISIONS, help=f"{OF_PRECISION} (default: %(default)s)"
    )


def keys(command: str) -> Sequence[str]:
    """What may be typed after a command that takes KEY=VALUE, for completion."""
    from dataclasses import fields

    from captioner.config.declare import choices_of, declarations
    from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE

    schema, found = COMMANDS[command], []
    for of in fields(schema):
        if of.name not in (*SCHEMAS, *SINGLE):
            found.append(f"{of.name}=")
            continue
        found += [f"{of.name}={choice}" for choice in choices_of(of.name)]
        kinds = SCHEMAS[of.name].values() if of.name in SCHEMAS else [SINGLE[of.name]]
        for kind in kinds:
            found += [
                f"{of.name}.{key.name}="
                for key, key_of in declarations(kind)
                if key.name != "name" or not key_of.group
            ]
    return list(dict.fromkeys(found))
