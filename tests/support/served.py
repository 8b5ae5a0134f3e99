"""A server of ours in a thread, and requests to it that may be as odd as a test wants them."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from typing import Any, NamedTuple

import pytest
from support import tiny

pytest.importorskip("starlette", reason="the extra web is missing: pip install captioner[web]")
pytest.importorskip("uvicorn", reason="the extra web is missing: pip install captioner[web]")
pytest.importorskip("python_multipart", reason="the extra web is missing: pip install captioner[web]")
from captioner.web.app import create_app
from captioner.web.server import listen, make_server
from captioner.web.upload import Limits
from captioner.web.worker import Worker

BOUNDARY = "a-boundary"
Part = tuple[str, str | None, bytes]  # the field's name, the file's, and what is in it


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def served(
    predictor: Any,
    limits: Limits | None = None,
    hosts: Sequence[str] = (),
    examples: Mapping[str, bytes] | None = None,
    name: str = "tiny",
) -> Iterator[int]:
    """The port of a server of ``predictor``."""
    worker = Worker(predictor)
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = make_server(create_app(worker, limits or Limits(), [name], hosts, examples))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join()
            worker.close()


def ask(
    port: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def form(*parts: Part) -> bytes:
    """A form as browsers write it."""
    stream = io.BytesIO()
    for name, file, data in parts:
        named = "" if file is None else f'; filename="{file}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        stream.write(head.encode() + data + b"\r\n")
    stream.write(f"--{BOUNDARY}--\r\n".encode())
    return stream.getvalue()


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def post(port: int, photo: bytes, name: str = "photo.png", query: str = "", **fields: object) -> Answer:
    """Upload a photo with options as fields of the form."""
    parts = [(field, None, str(value).encode()) for field, value in fields.items()]
    return ask(port, "POST", f"/caption{query}", form(("photo", name, photo), *parts), FORM)


def photos() -> list[bytes]:
    """The tiny scenes as PNG files, each other than all."""
    files = []
    for record in tiny.records():
        stream = io.BytesIO()
        record.source().save(stream, "PNG")  # type: ignore[operator]
        files.append(stream.getvalue())
    return files
