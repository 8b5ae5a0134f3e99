"""What a folder of outputs is of: the model, the options and the shards, written before the first output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from captioner.bulk.caption import Settings
from captioner.bulk.shards import FOUND, Shard
from captioner.checkpoint.pretrained import model_file
from captioner.errors import CaptionerError
from captioner.system.atomic_files import make_folder, write_whole
from captioner.system.locks import owned
from captioner.version import __version__

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What decides the outputs of a folder.

    Attributes:
        model: SHA-256 of each model file.
        options: what else decides a caption.
        output: the format of the outputs: jsonl or parquet.
        shards: in the order of the inputs.
    """

    model: Sequence[str]
    options: dict[str, Any]
    output: str
    shards: Sequence[Shard]

    def path_of(self, shard: Shard, folder: Path) -> Path:
        """Where the output of a shard is."""
        return folder / f"{shard.name}.{self.output}"


def manifest_of(settings: Settings, output: str, shards: Sequence[Shard]) -> Manifest:
    """The manifest of a command."""
    options = asdict(settings.search)
    options |= {key: getattr(settings, key) for key in ("accept_truncated", "column", "precision")}
    return Manifest(list(settings.model), options, output, list(shards))


def digests(checkpoint: Sequence[str]) -> list[str]:
    """SHA-256 of each model file.

    Raises:
        CaptionerError: there is no such file.
    """
    found = []
    for name in checkpoint:
        path = model_file(name)
        try:
            found.append(hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError as error:
            raise CaptionerError(f"checkpoint: {path} cannot be read ({error.strerror})") from error
    return found


def claim(folder: Path, manifest: Manifest, listing: bytes = b"") -> bool:
    """Make the folder that of this manifest; returns whether it was before.

    Several processes may do so at once with the same manifest.

    Args:
        listing: the images of folders, which is written beside the manifest.

    Raises:
        CaptionerError: it is of another model, of other options or of other inputs, or holds other files.
    """
    make_folder(folder, "--output")
    with owned(folder, wait=lambda: None):
        path = folder / MANIFEST
        if there := path.exists():
            _refuse_other(read_manifest(folder), manifest, path)
        elif others := sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")):
            raise CaptionerError(f"--output: {folder} holds other files ({others[0]}); give an empty folder")
        else:
            write_whole(path, _as_text(manifest), "--output")
        if listing and not (folder / FOUND).exists():
            write_whole(folder / FOUND, listing, "--output")
        return there


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        CaptionerError: it has none, or a damaged one.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        if content["format"] > FORMAT:
            raise CaptionerError(f"{path}: was written by a newer captioner; install that")
        shards = [Shard(**shard) for shard in content["shards"]]
        return Manifest(content["model"], content["options"], content["output"], shards)
    except OSError as error:
        raise CaptionerError(f"{folder}: holds no captioned shards ({MANIFEST}: {error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CaptionerError(f"{path}: is damaged ({error})") from None


def _as_text(manifest: Manifest) -> str:
    """JSON with a shard a line."""
    plain = asdict(manifest) | {"format": FORMAT, "captioner": __version__}
    shards = ",\n  ".join(json.dumps(shard) for shard in plain.pop("shards"))
    return f'{json.dumps(plain, indent=1)[:-2]},\n "shards": [\n  {shards}\n ]\n}}\n'


def _refuse_other(there: Manifest, ours: Manifest, path: Path) -> None:
    kept = "give another --output"
    if there.model != ours.model:
        raise CaptionerError(f"--checkpoint: {path} is of another model; {kept}")
    for name, value in ours.options.items():
        if there.options.get(name) != value:
            flag = f"--{name.replace('_', '-')}"
            raise CaptionerError(f"{flag}: {path} has {there.options.get(name)}, not {value}; {kept}")
    if there.output != ours.output:
        raise CaptionerError(f"--format: {path} has {there.output}, not {ours.output}; {kept}")
    for old, new in zip(there.shards, ours.shards):
        if old != new:
            raise CaptionerError(
                f"caption: {path} is of other inputs: it has {old.name} where now is {new.name}, or its "
                f"lines or rows were changed; {kept}"
            )
    if len(there.shards) != len(ours.shards):
        counts = f"{len(there.shards):,} shards, not {len(ours.shards):,}"
        raise CaptionerError(f"caption: {path} is of other inputs ({counts}); {kept}")
