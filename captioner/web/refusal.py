"""A request that is not granted: an HTTP status, and one line that says why, as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from captioner.errors import CaptionerError


class Refused(CaptionerError):
    """Ends a request with an HTTP status and the message."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    @property
    def response(self) -> JSONResponse:
        return JSONResponse({"error": str(self)}, self.status, self.headers)
