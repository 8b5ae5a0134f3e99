"""Show, Attend and Tell (Xu et al. 2015): train captioners, caption photos, see where the model looked.

>>> import captioner
>>> captioner.load("model.safetensors").caption("photo.jpg").text  # doctest: +SKIP
'a dog runs through the grass'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captioner.captioning import Caption, Predictor, load
    from captioner.errors import CaptionerError

__version__ = "0.1.0"
__all__ = ["Caption", "CaptionerError", "Predictor", "load"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so it waits until something that needs it is asked for
    if name == "CaptionerError":
        from captioner.errors import CaptionerError

        return CaptionerError
    if name in __all__:
        from captioner import captioning

        return getattr(captioning, name)
    raise AttributeError(f"module 'captioner' has no attribute {name!r}")
