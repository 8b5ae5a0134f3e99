"""The one exception that means "the input is wrong", and the sentence that reports it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import TypeVar

T = TypeVar("T")


class CaptionerError(Exception):
    """Bad input: its message is one line that names the value, the place and the choices.

    The command line prints the message alone; every other exception is a bug and keeps its traceback.
    Whatever a message quotes (a file's name may hold a line's end), it stays one line that can be printed.
    """

    def __init__(self, message: str) -> None:
        if not message.isprintable():
            message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        super().__init__(message)


def choose(table: Mapping[str, T], name: object, place: str) -> T:
    """Look ``name`` up in ``table``; ``place`` is what the user would type to change it.

    Raises:
        CaptionerError: the name is not in the table.
    """
    check_choice(name, table, place)
    return table[str(name)]


class DivergedError(CaptionerError):
    """Training has left the finite numbers: what the settings lead to, and not an input that is wrong."""


def check_choice(name: object, choices: Iterable[str], place: str) -> None:
    """Raise a :class:`CaptionerError` that lists ``choices`` unless ``name`` is one of them."""
    choices = list(choices)
    if name not in choices:
        raise no_such_choice(str(name), choices, place)


def no_such_choice(name: str, choices: Sequence[str], place: str) -> CaptionerError:
    """An error that lists the choices there are, and suggests the nearest."""
    return CaptionerError(f"{place}: {name!r} is not one of {', '.join(choices)}{_nearest(name, choices)}")


def no_such_key(key: str, keys: Sequence[str], place: str = "") -> CaptionerError:
    """An error that lists the keys there are at ``place``, and suggests the nearest."""
    full = f"{place}.{key}" if place else key
    return CaptionerError(
        f"{full}: there is no such key, the keys here are {', '.join(keys)}{_nearest(key, keys)}"
    )


def _nearest(name: str, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, choices, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def check_range(value: float, place: str, low: float = -inf, high: float = inf, below: float = inf) -> None:
    """Raise a :class:`CaptionerError` unless ``low <= value <= high``, ``value < below`` and it is finite."""
    if low <= value <= high and -inf < value < below:
        return
    if below < inf:
        wanted = f"at least {low:g} and below {below:g}"
    elif high < inf:
        wanted = f"between {low:g} and {high:g}" if low > -inf else f"at most {high:g}"
    else:
        wanted = f"at least {low:g}" if low > -inf else "a finite number"
    shown = f"{value:g}" if -1e300 < value < 1e300 else reprlib.repr(value)  # :g fails for some integers
    raise CaptionerError(f"{place}: {shown} is out of range, it must be {wanted}")


def first_line(error: BaseException) -> str:
    """What another library's exception says, in a line: its name where it says nothing."""
    return next((line for raw in str(error).splitlines() if (line := raw.strip())), type(error).__name__)


def printable(path: object) -> str:
    """A path as it may appear in a one-line message: quoted if it holds control characters."""
    text = str(path)
    return text if text.isprintable() else repr(text)
