"""A folder of static files that captions photos in the browser: nothing is sent anywhere."""

from __future__ import annotations

import html
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

from captioner.checkpoint.file import Checkpoint
from captioner.config.declare import declaration_of
from captioner.config.search import SearchConfig
from captioner.export.description import SEARCH
from captioner.export.export import Files, Written, onnx_files, write_files
from captioner.export.parity import example_photos
from captioner.export.web_runtime import runtime_files
from captioner.system.atomic_files import whole_folder
from captioner.visualize.document import LOOK, SCRIPTS, STYLES, document

WORKER = ("worker.js", "photo.js", "search.js")
LARGEST_BEAM = 50  # that the page's form offers


def export_web(checkpoint: Checkpoint, folder: Path, weights: str, package: Path | None = None) -> Written:
    """Write the page, its worker, the model's ONNX programs and the runtime's WebAssembly.

    Args:
        package: as in :func:`captioner.export.web_runtime.runtime_files`.

    Raises:
        CaptionerError: as :func:`captioner.export.export.export_onnx`, and where the runtime is missing.
    """
    with whole_folder(folder, "--output") as temporary:
        made: Files = runtime_files(package)
        programs, parity = onnx_files(checkpoint, weights)
        made |= programs
        ours = files("captioner")
        made |= {name: ours.joinpath(f"export/{name}").read_bytes() for name in WORKER}
        photos = example_photos()
        made |= {f"examples/{name}": photo for name, photo in photos.items()}
        made["index.html"] = page(list(photos), checkpoint.digest or "model").encode()
        return write_files(made, temporary, folder, parity)


def page(examples: list[str], model: str) -> str:
    """``index.html``; ``model`` tells what it has captioned from what another model did on that address."""
    return document(
        "export/page.html",
        [*STYLES, "web/app.css", "web/photos.css"],
        [*SCRIPTS, "export/requests.js", "web/history.js", "web/strip.js", "web/app.js"],
        {"look": LOOK, "upload": 0, "examples": examples, "models": [model]},
        ["connect-src 'self'", "img-src 'self' data: blob:", "worker-src 'self'"],
        options="\n".join(map(_field, SEARCH)),
    ).text


def _field(name: str) -> str:
    """A field of the form, as in ``captioner serve``'s."""
    of = next(of for of in fields(SearchConfig) if of.name == name)
    declared = declaration_of(of)
    assert declared is not None
    high = min(declared.high, LARGEST_BEAM) if name == "beam_size" else declared.high
    step = 1 if isinstance(of.default, int) else "any"
    return (
        f'<div class="option"><label for="{name}">{name.replace("_", " ").capitalize()}</label>'
        f'<input type="number" required min="{declared.low:g}" max="{high:g}" step="{step}" '
        f'value="{of.default}" id="{name}" name="{name}" aria-describedby="{name}-meaning">'
        f'<p id="{name}-meaning">{html.escape(declared.meaning)}</p></div>'
    )
