"""An address to listen at, and uvicorn to answer there until a signal ends it."""

from __future__ import annotations

import os
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from captioner.errors import CaptionerError, check_range


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 is any that is free.

    Raises:
        CaptionerError: there is no such address here, or its port is taken.
    """
    check_range(port, "--port", 0, 65535)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CaptionerError(
            f"--host: {host!r} is not an address ({getattr(error, 'strerror', error)})"
        ) from None
    try:
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise CaptionerError(
            f"--port: cannot listen at {host}, port {port} ({os.strerror(error.errno or 0)}); "
            "--port 0 takes one that is free"
        ) from None


def url(listener: socket.socket) -> str:
    """The address of the page."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: ASGIApp) -> uvicorn.Server:
    """What answers by ``run([listener])``: until Ctrl-C or SIGTERM, then what is under way.

    A second signal ends the process at once.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """Obeys signals as :class:`captioner.system.signals.Stop` does: uvicorn would end by it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True
        os.write(2, b"\ncaptioner: answering what is under way; once more stops at once\n")
