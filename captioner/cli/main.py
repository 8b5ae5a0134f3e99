"""``captioner COMMAND ...``: finds the command, and turns bad input into one line and an exit status."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from captioner.cli.commands import COMMANDS
from captioner.errors import CaptionerError, choose
from captioner.system.signals import Stopped
from captioner.version import __version__

BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit.

    0: all well, 1: not all images or data are, 2: bad input, 3: data that no useful model comes of, 130:
    interrupted, 143: terminated, its state saved.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a caption may hold letters that the terminal has not
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))
    finally:
        _settle_output()


def _run(given: list[str]) -> int:
    """The exit status of a command line."""
    if "_ARGCOMPLETE" in os.environ:
        import_module("captioner.cli.completion").answer()
    if given[:1] == ["help"] and len(given) > 1:
        given = [given[1], "--help"]
    try:
        if not given or given[0] in ("-h", "--help", "help"):
            print(usage())
            return 0
        if given[0] in ("-V", "--version", "version"):
            print(f"captioner {__version__}")
            return 0
        choose(COMMANDS, given[0], "command")
        if {"-h", "--help"} & set(given[1:]) and given[0] in import_module(
            "captioner.config.schema"
        ).COMMANDS:
            print(import_module("captioner.config.reference").help_text(given[0]))
            return 0
        _check_working_folder()
        # each command imports what it needs: torch alone takes seconds
        command = import_module(f"captioner.cli.{given[0]}")
        return int(command.run(given[1:]))
    except (Exception, KeyboardInterrupt) as error:
        status = reported(error)
        if status is None:
            raise
        return status


def _check_working_folder() -> None:
    """Refuse a working folder that is gone, in which libraries fail that ask for it."""
    try:
        os.getcwd()
    except OSError as error:
        raise CaptionerError("the working folder has been removed; change to another one") from error


def reported(error: BaseException, program: str = "captioner") -> int | None:
    """The exit status of a command that this ended, which is told in the program's name; None for a bug."""
    stopped = _interrupt_behind(error)
    if stopped is not None:
        print(f"{program}: {str(stopped) or 'interrupted'}", file=sys.stderr)
        return stopped.status if isinstance(stopped, Stopped) else INTERRUPTED
    if isinstance(error, CaptionerError):
        print(f"{program}: {error}", file=sys.stderr)
        return BAD_INPUT
    if isinstance(error, BrokenPipeError):  # the reader, head for one, has seen enough
        return 1
    return None


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that ended the command, also where a library's clean-up failed in its wake."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _settle_output() -> None:
    """Write what is still to be printed, or forget it where nobody takes it, before Python would complain."""
    try:
        if sys.stdout is not None:  # as where it is closed from the beginning
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = io.StringIO()


def usage() -> str:
    """What ``captioner --help`` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: captioner COMMAND ...\n\n"
        "Show, Attend and Tell (Xu et al. 2015): image captions, and where the model looked.\n\n"
        f"commands:\n{commands}\n\n"
        "captioner COMMAND --help lists a command's options."
    )
