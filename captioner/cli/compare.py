"""``captioner compare [KEY=VALUE ...]``."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig

from captioner.config.compose import run_command
from captioner.config.schema import CompareConfig
from captioner.errors import CaptionerError

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
    compare(config, overrides)
