"""``captioner completion SHELL``, and what the shell asks for when a key is pressed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from captioner.cli.commands import COMMANDS, is_configured
from captioner.cli.parsing import Parser, keys
from captioner.errors import CaptionerError

SHELLS = ("bash", "zsh", "fish")
HOW = """\
bash: add to ~/.bashrc               eval "$(captioner completion bash)"
zsh:  add to ~/.zshrc                eval "$(captioner completion zsh)"
fish: captioner completion fish > ~/.config/fish/completions/captioner.fish"""


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        "completion",
        "Print what a shell needs to complete commands, options and keys.",
        epilog=HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Print a completion script."""
    options = parser().parse_args(arguments)
    try:
        import argcomplete
    except ImportError:
        raise CaptionerError("completion: needs pip install argcomplete") from None
    print(argcomplete.shellcode(["captioner"], shell=options.shell))
    return 0


def answer() -> None:
    """Answer a shell that asks how a command line may go on, and exit."""
    import argcomplete

    argcomplete.autocomplete(whole(), always_complete_options=False)


def whole() -> argparse.ArgumentParser:
    """One parser of all commands."""
    whole = argparse.ArgumentParser("captioner")
    commands = whole.add_subparsers(dest="command")
    for name, what in COMMANDS.items():
        if is_configured(name):
            configured = commands.add_parser(name, help=what)
            configured.add_argument("keys", nargs="*", choices=keys(name))
            if name == "encode":
                import_module("captioner.cli.encode").add_flags(configured)
        else:
            built = import_module(f"captioner.cli.{name}").parser()
            commands.add_parser(name, help=what, parents=[built], add_help=False, conflict_handler="resolve")
    return whole
