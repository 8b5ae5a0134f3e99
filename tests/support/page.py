"""An exported page as any web server shows it, and what a browser is asked of its strip of photos."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# of a photo by its number: its caption, or why it has none; false until then
ITEM = """
const item = document.querySelectorAll("#strip li")[arguments[0]];
return ["captioned", "failed"].includes(item?.className) && item.querySelector(".text").textContent;
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served_page(folder: Path) -> Iterator[str]:
    """The address of the folder of an exported page, within the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
