"""Composing the configuration with Hydra, and telling what is wrong with it in one line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from captioner.config.declare import CONF
from captioner.config.launching import outcome
from captioner.config.paths import as_they_stand, at_home
from captioner.config.schema import COMMANDS, SCHEMAS, SINGLE
from captioner.config.strict import from_plain
from captioner.config.sweeper import Sweeper
from captioner.errors import CaptionerError, first_line, no_such_choice, no_such_key

C = TypeVar("C")

SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"  # in whose place comes ours
OVERRIDE = re.compile(r"[+~]{0,2}\w[^=]*=")
LAUNCHERS = {
    name: f"hydra-{name.partition('_')[0]}-launcher"
    for name in ("joblib", "submitit_slurm", "submitit_local")
}


def register_schemas() -> None:
    """Make the typed schemas known to Hydra, below the group ``schema``, and the resolver ``first``."""
    OmegaConf.register_new_resolver("first", lambda *given: next(filter(None, given)), replace=True)
    store = ConfigStore.instance()
    for name, schema in {**COMMANDS, **SINGLE}.items():
        store.store(group="schema", name=name, node=schema)
    for group, kinds in SCHEMAS.items():
        for name, kind in kinds.items():
            store.store(group=f"schema/{group}", name=name, node=kind)


def run_command(
    config_name: str, schema: type[C], task: Callable[[C], None], arguments: Sequence[str]
) -> None:
    """Compose the configuration ``config_name`` with the command line's overrides and run ``task`` on it.

    ``task`` gets the typed configuration, of the class ``schema``. Hydra's own options
    (``--cfg job``, ``-m`` for several runs) work as everywhere.

    Raises:
        CaptionerError: an override names no key or choice, or has the wrong type; or what ``task`` raised.
    """
    register_schemas()
    Plugins.instance().class_name_to_class[SWEEPER] = Sweeper
    failures: list[BaseException] = []
    typed = [f"captioner {config_name}", *_options_first(as_they_stand(config_name, arguments))]
    _check_options(config_name, typed[1:])
    parent = os.getpid()

    def job(config: DictConfig) -> BaseException | None:
        def work() -> None:
            task(at_home(from_plain(schema, OmegaConf.to_container(config, resolve=True))))

        # Hydra prints its own line about an exception that leaves a job
        error = outcome(parent, typed, work)
        if error is not None and HydraConfig.get().mode != RunMode.MULTIRUN:
            failures.append(error)
        return error

    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us rather than being printed
    argv, sys.argv = sys.argv, typed
    try:
        hydra.main(config_path=f"pkg://{CONF}", config_name=config_name, version_base="1.3")(job)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # the last for cell=null
        raise CaptionerError(readable(error)) from error
    except OSError as error:  # Hydra makes a multirun's folder; the job's own errors are among failures
        if error.filename is None:
            raise
        what = f"cannot make the folder {error.filename} ({error.strerror or error})"
        raise CaptionerError(f"hydra.sweep.dir: {what}") from error
    finally:
        sys.argv = argv
    if failures:
        raise failures[0]


def _check_options(command: str, arguments: Sequence[str]) -> None:
    """Refuse in one line what Hydra's parser would answer with all of its options."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise CaptionerError(f"{command}: {message}; see captioner {command} --help")

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args(arguments)


def _options_first(arguments: Sequence[str]) -> list[str]:
    """Arguments with KEY=VALUE at the end, as Hydra's parser takes none after an option that follows one."""
    return sorted(arguments, key=lambda argument: OVERRIDE.match(argument) is not None)


def compose_plain(config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """What a command's configuration would be with these overrides, as plain values."""
    register_schemas()
    at_work = GlobalHydra.instance().is_initialized()  # within run_command, or not
    with nullcontext() if at_work else hydra.initialize_config_module(CONF, version_base="1.3"):
        composed = OmegaConf.to_container(hydra.compose(config_name, list(overrides)), resolve=True)
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}


def readable(error: Exception) -> str:
    """Hydra's and omegaconf's errors as one line with the choices, and the nearest of them."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher" and name in LAUNCHERS:
            return f"{group}={name} is not installed: pip install {LAUNCHERS[name]}"
        return str(no_such_choice(name, error.options, group))
    if bare := re.match(r"In '(\w+)/([^']+)': ConfigKeyError", str(error)):
        return _file_without_schema(bare[1], bare[2])
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    if isinstance(cause, OmegaConfBaseException):
        key = str(cause.full_key or cause.key)
        parent = cause.parent_node
        if isinstance(parent, DictConfig) and cause.key not in parent:
            group, _, name = key.rpartition(".")
            return str(no_such_key(name, [str(k) for k in parent if k != "hydra"], group)) + _kinds_with(
                group, name
            )
        return f"{key}: {first_line(cause)}"
    return " ".join(str(error).split())


def _kinds_with(group: str, name: str) -> str:
    """The choices of a group that have a key, for the end of a line about a choice that lacks it."""
    kinds = [
        kind for kind, schema in SCHEMAS.get(group, {}).items() if name in {f.name for f in fields(schema)}
    ]
    return f"; {group}={' or '.join(kinds)} has it, choose that first" if kinds else ""


def _file_without_schema(group: str, name: str) -> str:
    """What to do about a file of a group that sets keys which no schema declares."""
    kinds = " or ".join(SCHEMAS.get(group, ()))
    schema, which = (f"{group}/KIND", f" (KIND: {kinds})") if kinds else (group, "")
    return (
        f"{group}={name}: the file sets keys that nothing declares; begin it with "
        f"'defaults: [/schema/{schema}@_here_]'{which}"
    )
