"""What stands before every request: who may ask, how much, and what a browser is told."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger("entsemble.server")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OPEN = {"/healthz", "/readyz"}
"""What a supervisor asks without a key; it says nothing of anybody's texts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server takes on.

    Attributes:
        body: bytes of a request.
        documents: in a request.
        running: requests that are worked on at once.
        waiting: requests that may wait for that.
        seconds: that one may take, waiting included.
        pool: texts that the pool may have.
    """

    body: int = 2_000_000
    documents: int = 256
    running: int = 2
    waiting: int = 16
    seconds: float = 3600
    pool: int = 20_000


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware: the key, the host that was asked for, the size of the body, and headers of security.

    What nobody foresaw is an answer like any other, and its reason is in the log alone.

    A page of another site can make a browser ask a server on the same machine, under a name that it made point there.
    So a request must name this machine, unless it brings a key; and one that changes something must not come from
    another site.

    Args:
        app: what is guarded.
        key: that every request must bring; `None` asks for none.
        body: bytes that a request may have.
    """

    def __init__(self, app: ASGIApp, key: str | None, body: int) -> None:
        self._app, self._key, self._body = app, key, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            status, error = refused
            told = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            await JSONResponse({"error": error}, status, told)(scope, receive, with_headers)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._body:
                raise HTTPException(413, self._told())
            return message

        try:
            await self._app(scope, counted, with_headers)
        except Exception:
            if begun:
                raise
            _LOG.exception("%s %s", scope["method"], scope["path"])
            told = {"error": "this should not have happened; the server's log says what did"}
            await JSONResponse(told, 500)(scope, receive, with_headers)

    def _refused(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        declared = headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > self._body:
            return 413, self._told()
        if self._key is not None:
            given = headers.get("authorization", "")
            right = hmac.compare_digest(given.encode(), f"Bearer {self._key}".encode())
            public = scope["path"] in _OPEN or (scope["method"] in {"GET", "HEAD"} and _of_page(scope["path"]))
            return None if right or public else (401, "a key is needed: the header `Authorization: Bearer KEY`")
        host = headers.get("host", "")
        if not is_loopback(_name_of(host).strip("[]")):
            return 421, "this server answers only under the names of its own machine"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "requests from pages of other sites are not answered"
        return None

    def _told(self) -> str:
        return f"a request has at most {self._body} bytes; send fewer documents at once"


def _of_page(path: str) -> bool:
    return path == "/" or path.startswith("/static/")


def _name_of(host: str) -> str:
    """The host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
