"""Plain values to typed configuration, strictly: an unknown key or a wrong type is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from captioner.config import SCHEMAS
from captioner.errors import CaptionerError, choose

C = TypeVar("C")


def from_plain(schema: type[C], values: Mapping[str, Any], place: str = "config") -> C:
    """Build the dataclass ``schema`` from nested dictionaries; nothing in them is ever run or imported.

    Groups that come in several kinds (the cell, the attention, the data) take the schema of their ``name``.

    Raises:
        CaptionerError: names the key, and the keys there are.
    """
    parts = {}
    for field in fields(schema):  # type: ignore[arg-type]
        if field.name not in values:
            continue
        value = values[field.name]
        if field.name in SCHEMAS:
            name = value.get("name") if isinstance(value, Mapping) else value
            kind = choose(SCHEMAS[field.name], name, f"{place}: {field.name}.name")
            value = _merge(kind, value, f"{place}: {field.name}")
        parts[field.name] = value
    unknown = set(values) - {field.name for field in fields(schema)}  # type: ignore[arg-type]
    if unknown:
        known = ", ".join(field.name for field in fields(schema))  # type: ignore[arg-type]
        raise CaptionerError(f"{place}: unknown key {sorted(unknown)[0]!r}, the keys are {known}")
    return cast(C, OmegaConf.to_object(_merge(schema, parts, place)))


def _merge(schema: type[Any], values: Any, place: str) -> DictConfig:
    _refuse_interpolations(values, place)
    try:
        return cast(DictConfig, OmegaConf.merge(OmegaConf.structured(schema), values))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or getattr(error, "key", None)
        known = ", ".join(field.name for field in fields(schema))
        reason = str(error).splitlines()[0]
        raise CaptionerError(f"{place}.{key}: {reason} (the keys are {known})") from error


def _refuse_interpolations(values: Any, place: str) -> None:
    """Plain values stay plain: ``${...}`` would make omegaconf look things up."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            _refuse_interpolations(value, f"{place}.{key}")
    elif isinstance(values, list):
        for value in values:
            _refuse_interpolations(value, place)
    elif isinstance(values, str) and "${" in values:
        raise CaptionerError(f"{place}: {values!r} is an interpolation, plain values are wanted")
