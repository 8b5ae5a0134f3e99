"""Whether a job that was started anew has found its run: rank 0 may now be on another machine than before."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.ranks import Ranks
from captioner.training.run_folder import begun_by


def check_found(
    ranks: Ranks, folder: Path, mark: str, has_state: bool, report: Callable[[str], None]
) -> None:
    """Tell, and report, a start from nothing where the job had been started before.

    Nobody can tell a job that was ended before it saved from one whose disk is away.

    Args:
        folder: the run's, of this machine.
        mark: the job's, see :class:`captioner.training.launched.Job`; that of its own runs.
        has_state: whether a state was found there.

    Raises:
        CaptionerError: on every rank, if another rank has the state that rank 0 lacks.
    """
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")
    own = begun_by(folder, mark)
    found = ranks.each((platform.node(), has_state and (own or ranks.first), restarted))
    machine, first_has_state, _ = found[0]
    if first_has_state:
        return
    for rank, (other, has, _) in enumerate(found):
        if has:
            raise CaptionerError(
                f"output: rank 0, on {machine}, has no state of this run in {folder}, and rank {rank}, on "
                f"{other}, has one; give a folder on storage that all machines share"
            )
    if ranks.first and any(restarted for *_, restarted in found):
        line = (
            f"output: the job was started anew, and {folder} on {machine} holds no state of it, so training "
            "begins from nothing; if it had saved one, that folder is on another machine and must be put on "
            "storage that all machines share"
        )
        print(f"captioner: {line}", file=sys.stderr)
        report(line)
