"""Hydra's sweeper for ``-m``: every combination is a job of the configured launcher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper as Plugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from captioner.config.launching import launch, raise_failures


class Sweeper(Plugin):
    """As Hydra's basic one, but it writes no multirun.yaml over what has that name, and tells every failure.

    Not a subclass: Hydra loads the basic one's module anew when it looks for plugins.

    Args:
        max_batch_size: combinations that are launched before the next.
        params: sweeps that the configuration adds to those of the command line.
    """

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Launch all combinations of the arguments.

        Raises:
            CaptionerError: a job failed, which does not end the others.
        """
        assert self.config is not None and self.hydra_context is not None and self.launcher is not None
        given = [f"{key}={values}" for key, values in self.params.items()] + arguments
        overrides = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(
            given
        )
        batches = BasicSweeper.split_arguments(overrides, self.max_batch_size)
        jobs = [job for batch in batches for job in batch]
        with _kept_if_used(Path(self.config.hydra.sweep.dir)):
            self.validate_batch_is_legal(jobs)
            errors: list[BaseException | None] = []
            for batch in batches:
                errors += launch(self.launcher, batch, len(errors))
        swept = {override.get_key_element() for override in overrides if override.is_sweep_override()}
        names = [" ".join(o for o in job if o.partition("=")[0] in swept) for job in jobs]
        raise_failures(names, errors)


@contextmanager
def _kept_if_used(folder: Path) -> Iterator[None]:
    """A folder that is gone afterwards if it is new and nothing was written into it."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if new:
            with suppress(OSError):  # it holds something
                folder.rmdir()
