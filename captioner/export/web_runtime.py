"""The two files of onnxruntime-web that a page needs: from a folder of the user's, or from npm."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from captioner.errors import CaptionerError, printable

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"  # that npm is asked for, the one that was tried
SCRIPT, WASM = "dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"
PLACES = ("", "package", f"node_modules/{PACKAGE}")  # of the package in a folder that is named
MINUTES = 5


def runtime_files(package: Path | None) -> dict[str, bytes]:
    """The runtime's script as ``ort.js``, and its WebAssembly compressed as ``ort.wasm.gz``.

    Args:
        package: the unpacked npm package, or a folder that it was installed or unpacked in; None: npm
            downloads it.

    Raises:
        CaptionerError: it is not there, or cannot be downloaded.
    """
    found = _from_npm() if package is None else _from_folder(package)
    return {"ort.js": found[SCRIPT], "ort.wasm.gz": gzip.compress(found[WASM], 9, mtime=0)}


def _from_folder(folder: Path) -> dict[str, bytes]:
    for place in PLACES:
        root = folder / place
        try:
            if json.loads((root / "package.json").read_text(encoding="utf-8")).get("name") == PACKAGE:
                return {name: (root / name).read_bytes() for name in (SCRIPT, WASM)}
        except FileNotFoundError as error:
            if Path(error.filename or "").name != "package.json":
                raise CaptionerError(
                    f"--onnxruntime-web: {printable(root)} has no {Path(error.filename).name}; "
                    f"version {VERSION} has"
                ) from None
        except (OSError, ValueError, AttributeError) as error:
            raise CaptionerError(f"--onnxruntime-web: {printable(root)} cannot be read ({error})") from None
    raise CaptionerError(f"--onnxruntime-web: {printable(folder)} does not hold the npm package {PACKAGE}")


def _from_npm() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise CaptionerError(
            f"--onnxruntime-web: name the unpacked npm package {PACKAGE}; npm, which would download it, is "
            "not installed"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60 * MINUTES)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CaptionerError(f"--onnxruntime-web: npm cannot download {PACKAGE} ({error})") from None
        packed = next(iter(Path(folder).glob("*.tgz")), None)
        if done.returncode or packed is None:
            reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise CaptionerError(f"--onnxruntime-web: npm cannot download {PACKAGE} ({reason})")
        with tarfile.open(packed) as archive:
            members = {name: archive.extractfile(f"package/{name}") for name in (SCRIPT, WASM)}
            return {name: member.read() for name, member in members.items() if member is not None}
