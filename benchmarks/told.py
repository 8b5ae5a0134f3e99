"""What a benchmark is asked for wrongly: one line and status 2, as everywhere in captioner."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from captioner.cli.main import reported


def run(main: Callable[[], None]) -> None:
    """Run a benchmark."""
    try:
        main()
    except (Exception, KeyboardInterrupt) as error:
        status = reported(error, "benchmark")
        if status is None:
            raise
        sys.exit(status)


def whole(low: int = 1) -> Callable[[str], int]:
    """What argparse calls for a whole number from ``low`` on."""

    def number(typed: str) -> int:
        if (value := int(typed)) < low:
            raise argparse.ArgumentTypeError(f"{value} is out of range, it must be at least {low}")
        return value

    return number
