"""The web app: a page to drop photos on, and the endpoint behind it.

A photo goes through four hands: the event loop reads it within limits, a thread looks at its header, the
worker captions it, a thread writes the answer. No more than ``Limits.queue`` are on that way at a time, so
memory is bounded.
"""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from mimetypes import guess_type
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from captioner.caption import Caption
from captioner.data.photos.formats import known_formats
from captioner.errors import CaptionerError
from captioner.version import __version__
from captioner.visualize.document import LOOK, SCRIPTS, STYLES, Document, document
from captioner.visualize.page import entry
from captioner.web.describe import docs, openapi
from captioner.web.fields import form_fields
from captioner.web.guard import Guard
from captioner.web.options import OPTIONS
from captioner.web.plain import caption_page, error_page
from captioner.web.refusal import Refused
from captioner.web.upload import Limits, Upload, check_photo, read_upload
from captioner.web.worker import Worker

T = TypeVar("T")
THREADS = 2  # for headers and answers, which take milliseconds


class App:
    """The requests that there are.

    Args:
        worker: who captions.
        limits: what one client may cost.
        models: what the models are called.
        examples: image files to try, by name.
    """

    def __init__(
        self,
        worker: Worker,
        limits: Limits,
        models: Sequence[str],
        examples: Mapping[str, bytes] | None = None,
    ) -> None:
        self.worker, self.limits, self.models = worker, limits, list(models)
        self.examples = examples or {}
        self.busy = 0  # photos on their way; counted on the event loop alone
        self.pool = ThreadPoolExecutor(THREADS)
        self.description = openapi(limits)
        self.page_document = _page(limits, models, list(self.examples))
        self.docs_document = docs(self.description)

    async def page(self, _: Request) -> Response:
        return _html(self.page_document)

    async def example(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.examples:
            raise HTTPException(404)
        return Response(self.examples[name], media_type=guess_type(name)[0])

    async def docs(self, _: Request) -> Response:
        return _html(self.docs_document)

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(self.description)

    async def health(self, _: Request) -> Response:
        return JSONResponse(
            {"status": "ok", "version": __version__, "models": self.models, "photos": self.busy}
        )

    async def caption(self, request: Request) -> Response:
        if self.busy >= self.limits.queue:
            message = f"busy: {self.busy} photos are on their way already, try again later"
            raise Refused(503, message, {"Retry-After": "1"})
        self.busy += 1
        try:
            upload = await read_upload(request, self.limits)
            await self._threaded(lambda: check_photo(upload.photo, self.limits))
            caption = await _unless_gone(request, self.worker.submit(upload.photo, upload.options))
            if wants_page(request):
                return _html(await self._threaded(lambda: caption_page(caption, upload.name)))
            answer = await self._threaded(lambda: json.dumps(as_answer(caption, upload), allow_nan=False))
            return Response(answer, media_type="application/json")
        except Refused:
            raise
        except CaptionerError as error:
            raise Refused(422, str(error)) from None
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        finally:
            self.busy -= 1

    async def _threaded(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)


def create_app(
    worker: Worker,
    limits: Limits,
    models: Sequence[str],
    hosts: Collection[str] = (),
    examples: Mapping[str, bytes] | None = None,
) -> ASGIApp:
    """The app as an ASGI server runs it; ``hosts`` are those of :class:`Guard`."""
    app = App(worker, limits, models, examples)
    routes = [
        Route("/", app.page),
        Route("/caption", app.caption, methods=["POST"]),
        Route("/examples/{name}", app.example),
        Route("/health", app.health),
        Route("/openapi.json", app.openapi),
        Route("/docs", app.docs),
    ]
    failures = {Refused: _refused, HTTPException: _not_served, Exception: _failed}
    return Guard(Starlette(routes=routes, exception_handlers=failures), hosts)


def as_answer(caption: Caption, upload: Upload) -> dict[str, object]:
    """A caption as ``POST /caption`` gives it: what the page draws, the text under ``caption``."""
    values = entry(caption, upload.name, upload.pictures)
    return {"name": values.pop("name"), "caption": values.pop("text"), **values}


def wants_page(request: Request) -> bool:
    """Whether a browser asks to show the answer itself, as it does for a form without scripts."""
    return "text/html" in request.headers.get("accept", "")


async def _unless_gone(request: Request, future: Future[Caption]) -> Caption:
    """The result, unless the client hangs up before: then captioning is cancelled.

    Raises:
        ClientDisconnect: it has hung up.
    """

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    result, gone = asyncio.wrap_future(future), asyncio.ensure_future(hung_up())
    both: list[asyncio.Future[Any]] = [result, gone]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnect
        return result.result()
    finally:
        gone.cancel()
        result.cancel()


def _page(limits: Limits, models: Sequence[str], examples: Sequence[str]) -> Document:
    return document(
        "web/app.html",
        [*STYLES, "web/app.css", "web/photos.css"],
        [*SCRIPTS, "web/requests.js", "web/history.js", "web/strip.js", "web/app.js"],
        {"look": LOOK, "upload": limits.upload, "examples": list(examples), "models": list(models)},
        ["connect-src 'self'", "img-src 'self' data: blob:", "form-action 'self'"],
        models=html.escape(" + ".join(models)),
        options=form_fields(OPTIONS),
        formats=html.escape(", ".join(known_formats())),
    )


def _html(page: Document) -> Response:
    policy = f"{page.policy}; frame-ancestors 'none'"
    return HTMLResponse(page.text, headers={"Content-Security-Policy": policy})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    if wants_page(request) and request.method == "POST":
        page = _html(error_page(str(error)))
        page.status_code = error.status
        return page
    return error.response


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return Refused(error.status_code, message, error.headers).response


async def _failed(_: Request, error: Exception) -> Response:
    return Refused(500, f"server: {type(error).__name__}, see the server's log").response
