"""Relative places of a configuration, from where they were given: a run may be resumed from anywhere."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, TypeVar

from captioner.config.data import DataConfig, TableConfig
from captioner.config.schema import TrainConfig

C = TypeVar("C", bound=TrainConfig)
FROM_HERE = ("root", "file")  # of a data configuration, the others are below root where there is one


def absolute(config: C) -> C:
    """A copy whose data, weights, initial model and cache are named by absolute paths."""
    weights, init = config.encoder.weights, config.init
    return replace(
        config,
        data=absolute_data(config.data),
        encoder=replace(config.encoder, weights=_if_there(weights)),
        init=_if_there(init),
        run=replace(config.run, cache=config.run.cache and _absolute(config.run.cache)),
    )


def absolute_data(data: DataConfig) -> DataConfig:
    """A copy whose places are absolute, those below ``root`` aside."""
    given = vars(data)
    places: dict[str, Any] = {key: _absolute(given[key]) for key in FROM_HERE if key in given}
    if "images" in given and "root" not in given:
        places["images"] = _absolute(given["images"])
    if isinstance(data, TableConfig):  # whose files may be given from the working folder too
        for key in ("train", "val", "test"):
            path = given[key]
            if path is not None and os.path.isfile(os.path.expanduser(path)):
                places[key] = _absolute(path)
    return replace(data, **places)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _if_there(path: str | None) -> str | None:
    """An absolute path, unless this is a name such as ``pretrained``."""
    return path if path is None or not os.path.exists(os.path.expanduser(path)) else _absolute(path)
