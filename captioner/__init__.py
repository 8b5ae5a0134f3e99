"""Show, Attend and Tell (Xu et al. 2015): train captioners, caption photos, see where the model looked.

>>> import captioner
>>> captioner.load("model.safetensors").caption("photo.jpg").text  # doctest: +SKIP
'a dog runs through the grass'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from captioner.version import __version__

if TYPE_CHECKING:
    from captioner.caption import Caption
    from captioner.errors import CaptionerError
    from captioner.predictor import Predictor, load

__all__ = ["Caption", "CaptionerError", "Predictor", "__version__", "load"]

_HOMES = {
    "Caption": "captioner.caption",
    "CaptionerError": "captioner.errors",
    "Predictor": "captioner.predictor",
    "load": "captioner.predictor",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so it waits until something that needs it is asked for
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'captioner' has no attribute {name!r}")
