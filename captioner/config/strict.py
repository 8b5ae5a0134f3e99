"""Plain values to typed configuration, strictly: an unknown key, a wrong type or a gap is refused."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from captioner.config.declare import REQUIRED, declaration_of
from captioner.config.schema import SCHEMAS
from captioner.errors import CaptionerError, check_range, choose, first_line, no_such_key

C = TypeVar("C")
LONGEST = 100_000  # characters of one value, written out


def from_plain(schema: type[C], values: Any, place: str = "") -> C:
    """Build the dataclass ``schema`` from nested dictionaries; nothing in them is ever run or imported.

    Groups that come in several kinds (the cell, the attention, the data) take the schema of their ``name``.

    Args:
        place: what errors call ``values``; keys below it are written ``place.key``.

    Raises:
        CaptionerError: names the key, and the keys there are.
    """
    if not isinstance(values, Mapping):
        raise CaptionerError(f"{place}: {reprlib.repr(values)} is not a group of keys")
    types = get_type_hints(schema)
    names = [field.name for field in fields(schema)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            raise no_such_key(str(key), names, place)
    built: dict[str, Any] = {}
    for field in fields(schema):  # type: ignore[arg-type]
        key = f"{place}.{field.name}" if place else field.name
        value = values.get(field.name, MISSING)
        if value is MISSING:
            if field.default is MISSING and field.default_factory is MISSING:
                raise CaptionerError(f"{key}: it is missing")
        elif value == REQUIRED:
            raise CaptionerError(f"{key}: a value is needed, as in {key}=VALUE")
        elif field.name in SCHEMAS:
            name = value.get("name") if isinstance(value, Mapping) else value
            kind = choose(SCHEMAS[field.name], name, f"{key}.name")
            built[field.name] = from_plain(kind, value, key)
        elif is_dataclass(types[field.name]):
            kind = cast(type, types[field.name])
            built[field.name] = from_plain(kind, value, key)
        else:
            built[field.name] = _typed(schema, field.name, value, key)
            if (declared := declaration_of(field)) is not None:
                declared.check(built[field.name], key)
    return schema(**built)


def _typed(schema: type[Any], name: str, value: Any, key: str) -> Any:
    """The value as the field's type, by omegaconf's rules: "3" may stand for 3."""
    text = repr(value)
    if len(text) > LONGEST:
        raise CaptionerError(
            f"{key}: {text[:40]}... is {len(text):,} characters long, at most {LONGEST:,} may be"
        )
    if "${" in text:  # omegaconf would look it up
        raise CaptionerError(f"{key}: {value!r} is an interpolation; a plain value is needed")
    node = OmegaConf.structured(schema)
    try:
        node[name] = value
        plain = OmegaConf.to_container(node)
    except OmegaConfBaseException as error:
        raise CaptionerError(f"{key}: {first_line(error)}") from error
    assert isinstance(plain, dict)
    _check_finite(plain[name], key)
    return plain[name]


def _check_finite(value: Any, key: str) -> None:
    """No value of a configuration means anything as NaN or infinity."""
    if isinstance(value, list):
        for item in value:
            _check_finite(item, key)
    elif isinstance(value, float):
        check_range(value, key)
