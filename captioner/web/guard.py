"""Who may talk to the server: people at this machine or its addresses, and no page of another site.

A browser lets any page send requests to a server on its user's machine. Two rules keep such pages out:

- The host that a request names must be an IP address, ``localhost``, or a name that the user chose. A page
  that has its own name point to this machine (DNS rebinding) is known by that name.
- A request that another page makes, which its ``Origin`` and ``Sec-Fetch-Site`` headers reveal, is refused;
  only following a link to this server is allowed. No answer has CORS headers.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captioner.web.refusal import Refused

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would have forms without scripts send Origin: null
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that refuses requests by the rules above, and gives every answer its security headers.

    Args:
        hosts: names by which the server may be called, beside ``localhost`` and addresses.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.hosts = {"localhost", *map(str.lower, hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self.app
        try:
            self._check(scope["method"], Headers(scope=scope))
        except Refused as refused:
            app = refused.response
        await app(scope, receive, guarded)

    def _check(self, method: str, headers: Headers) -> None:
        (host, *more), origins = headers.getlist("host") or [""], headers.getlist("origin")
        name = host_name(host)
        if more or not (name in self.hosts or _is_address(name)):
            raise Refused(
                403, f"Host: {host!r} is not served here; captioner serve --allow-host NAME allows a name"
            )
        if any(origin not in (f"http://{host}", f"https://{host}") for origin in origins):
            raise Refused(403, f"Origin: pages of {', '.join(origins)} may not use this server")
        site = headers.get("sec-fetch-site", "none")
        follows_a_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not follows_a_link:
            raise Refused(403, "Sec-Fetch-Site: pages of other sites may not use this server")


def host_name(host: str) -> str:
    """``host`` without its port, in lower case, and an IPv6 address without its brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
