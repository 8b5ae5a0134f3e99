"""A web page in one piece: a template with its styles, scripts and data in it.

Its content security policy names those styles and scripts by their hashes, so that it runs nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps

from captioner.visualize.overlay import COLOURS, SPREAD, STRENGTH
from captioner.visualize.trust import FADED, LOOKED, QUIET

STYLES = ["visualize/page.css", "visualize/caption.css", "visualize/words.css"]
SCRIPTS = [f"visualize/{name}.js" for name in ("painter", "elements", "trust", "drawing", "actions", "view")]
HEAD = "visualize/head.html"
LOOK = {  # what painter.js needs to draw attention as overlay.py does
    "colours": colormaps[COLOURS](np.arange(256), bytes=True)[:, :3].tobytes().hex(),
    "spread": SPREAD,
    "strength": STRENGTH,
    "quiet": QUIET,
    "looked": LOOKED,
    "faded": FADED,
}


class Document(NamedTuple):
    """A page and the content security policy that it has in it."""

    text: str
    policy: str


def document(
    template: str,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    data: object = None,
    sources: Sequence[str] = (),
    **parts: str,
) -> Document:
    """Fill a template.

    Args:
        template, styles, scripts: files of this package, as ``package/name``; ``{{name}}`` in the template
            stands for a part, and ``{{head}}`` for what every page begins with.
        data: what the page's scripts read as JSON.
        sources: directives of the policy, further ones or in place of those here.
        parts: HTML.
    """
    style, script = ("".join(map(_read, names)) for names in (styles, scripts))
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'{_hash(style)}'",
        "script-src": f"'{_hash(script)}'" if script else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        **dict(source.split(" ", 1) for source in sources),
    }
    policy = "; ".join(f"{name} {values}" for name, values in allowed.items())
    parts |= {"policy": policy, "style": style, "script": script, "data": _json(data)}
    # in one pass, so that braces in a file name stay what they are; half a surrogate pair, which file
    # names of unknown encoding bring, cannot be written
    whole = _read(template).replace("{{head}}", _read(HEAD).rstrip())
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], whole)
    return Document(text.encode("utf-8", "replace").decode(), parts["policy"])


def _read(name: str) -> str:
    return files("captioner").joinpath(name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that may stand in a script element, which no ``</script>`` or ``<!--`` within ends early."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _hash(text: str) -> str:
    """What a content security policy calls an inline script or style that may be used."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
