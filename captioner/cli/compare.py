"""``captioner compare [KEY=VALUE ...]``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig

from captioner.config.compose import run_command
from captioner.config.launching import launch_each
from captioner.config.schema import CompareConfig
from captioner.errors import CaptionerError

if TYPE_CHECKING:
    from captioner.training.comparison.plan import Run

TAKEN = {  # what the comparison itself sets, with what to say instead
    "cell": "every cell takes its turn; cells=[lstm,gru] names fewer",
    "training.seed": "every seed takes its turn; seeds=[0,1,2] names them",
    "resume": "the same command resumes where it stopped",
}


def run(arguments: Sequence[str]) -> int:
    """Compose the configuration, carry out what runs are missing, and write the report."""
    run_command("compare", CompareConfig, _compare, arguments)
    return 0


def _compare(config: CompareConfig) -> None:
    overrides = HydraConfig.get().overrides.task
    for override in overrides:
        for key, instead in TAKEN.items():
            if override.lstrip("+~").startswith((f"{key}=", f"{key}.")):
                raise CaptionerError(f"{override}: {instead}")
    # not before the arguments are known to be right: torch alone takes seconds
    from captioner.system.device import keep_memory
    from captioner.training.comparison.compare import compare
    from captioner.training.launched import launched

    if launched().several:
        raise CaptionerError("compare: its runs are trained one at a time; start it without torchrun")
    keep_memory()
    basic = HydraConfig.get().launcher._target_.endswith(".BasicLauncher")
    compare(config, overrides, None if basic else _launch)


def _launch(runs: Sequence[Run], carry_out: Callable[[int], object]) -> None:
    """Carry out the runs as jobs of the launcher that ``hydra/launcher`` names."""

    def work(number: int) -> None:
        from captioner.system.device import keep_memory

        keep_memory()
        carry_out(number)

    jobs = [[f"cells=[{run.cell}]", f"seeds=[{run.config.training.seed}]"] for run in runs]
    launch_each("compare", jobs, work)
