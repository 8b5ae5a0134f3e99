"""Servers of weights that do not do what they should: one line, and soon."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import timm.models  # noqa: F401 - takes seconds, which the limit of time is not about
from torchvision.models import SqueezeNet1_1_Weights

from captioner.config.model import EncoderConfig
from captioner.errors import CaptionerError
from captioner.model import backbones, downloads

PATIENCE = 0.3
HEADERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nETag: 1\r\nX-Repo-Commit: abc\r\nConnection: close\r\n\r\n"
)
NETWORKS = {  # of each way in which weights are fetched
    "hub": EncoderConfig("resnet18", "pretrained", 64, library="timm"),
    "timm's address": EncoderConfig("legacy_seresnet18", "pretrained", 64, library="timm"),
    "torchvision": EncoderConfig("squeezenet1_1", "pretrained", 64),
}


def serve(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that treats every connection so, and then keeps it open."""
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
                kept.append(connection)
                answer(connection)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


@pytest.fixture
def silent() -> Iterator[str]:
    yield from serve(lambda connection: None)


@pytest.fixture
def stalling() -> Iterator[str]:
    def answer(connection: socket.socket) -> None:
        head = connection.recv(65536).startswith(b"HEAD")
        connection.sendall(HEADERS if head else HEADERS + b"some")

    yield from serve(answer)


@pytest.fixture
def refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["silent", "stalling", "refusing"])
@pytest.mark.parametrize("way", NETWORKS)
def test_a_bad_server_is_named_within_the_limit(
    kind: str, way: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = request.getfixturevalue(kind)
    monkeypatch.setattr(downloads, "PATIENCE", PATIENCE)
    send_to(address, tmp_path, monkeypatch)
    begin = time.monotonic()
    with pytest.raises(CaptionerError) as caught:
        backbones.build_stages(NETWORKS[way])
    assert time.monotonic() - begin < 3 * PATIENCE + 2
    line = str(caught.value)
    assert address in line and "encoder.weights=FILE" in line and NETWORKS[way].name in line
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("way", NETWORKS)
def test_a_folder_of_downloads_that_cannot_be_made_is_named(
    way: str, stalling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(downloads, "PATIENCE", PATIENCE)
    send_to(stalling, tmp_path / "file", monkeypatch)
    with pytest.raises(CaptionerError, match=f"{tmp_path / 'file'}.*; TORCH_HOME and HF_HOME say where"):
        backbones.build_stages(NETWORKS[way])


def send_to(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every download ask this server, and nothing be downloaded before."""
    import huggingface_hub.file_download as hub
    from timm.models import _registry

    monkeypatch.setenv("TORCH_HOME", str(folder))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)  # for which it waits by itself
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)  # between the hub's attempts
    url = f"{address}/weights-0123abcd.pth"
    monkeypatch.setattr(SqueezeNet1_1_Weights.DEFAULT.value, "url", url)
    records = _registry._model_pretrained_cfgs
    for name in [name for name in records if name.startswith("legacy_seresnet18")]:
        monkeypatch.setitem(records, name, replace(records[name], url=url))
