"""Whether a job that was started anew has found its run: rank 0 may now be on another machine than before."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.ranks import Ranks


def check_found(
    ranks: Ranks, folder: Path, began: bool, has_state: bool, report: Callable[[str], None]
) -> None:
    """Tell, and report, a start from nothing where the job had been started before.

    It had not begun if it was ended before this; nobody can tell that from a run on a disk that is away.

    Args:
        folder: the run's, of this machine.
        began: whether it is known to be this job's.
        has_state: whether a state was found there.

    Raises:
        CaptionerError: on every rank, if another rank has the state that rank 0 lacks.
    """
    found = ranks.each((platform.node(), has_state, os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")))
    machine, first_has_state, _ = found[0]
    if first_has_state:
        return
    for rank, (other, has, _) in enumerate(found):
        if has:
            raise CaptionerError(
                f"output: rank 0, on {machine}, has no state of this run in {folder}, and rank {rank}, on "
                f"{other}, has one; give a folder on storage that all machines share"
            )
    if ranks.first and not began and any(restarts not in ("", "0") for *_, restarts in found):
        line = (
            f"output: the job was started anew, and {folder} on {machine} holds no run of it, so training "
            "begins from nothing; if it had begun before, the folder is on another machine and must be put "
            "on storage that all machines share"
        )
        print(f"captioner: {line}", file=sys.stderr)
        report(line)
