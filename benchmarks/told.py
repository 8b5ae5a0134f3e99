"""What a benchmark is asked for wrongly: one line and status 2, as everywhere in captioner."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from captioner.cli.main import BAD_INPUT, INTERRUPTED
from captioner.errors import CaptionerError


def run(main: Callable[[], None]) -> None:
    """Run a benchmark."""
    try:
        main()
    except CaptionerError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("benchmark: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def whole(low: int = 1) -> Callable[[str], int]:
    """What argparse calls for a whole number from ``low`` on."""

    def number(typed: str) -> int:
        if (value := int(typed)) < low:
            raise argparse.ArgumentTypeError(f"{value} is out of range, it must be at least {low}")
        return value

    return number
