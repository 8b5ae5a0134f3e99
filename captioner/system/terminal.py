"""Whether somebody watches standard error, which decides about progress bars."""

from __future__ import annotations

import sys


def no_bar(wanted: bool = True) -> bool:
    """Whether there is to be no progress bar (tqdm's ``disable``): not asked for, or read by no person.

    In a pipe or a file a bar is thousands of lines that end in carriage returns.
    """
    return not (wanted and sys.stderr is not None and sys.stderr.isatty())
