"""Security middleware: API key, allowed hosts and origins, body size, response headers."""

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

_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_RESPONSE_HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PUBLIC_PATHS = {"/healthz", "/readyz"}
"""What a supervisor requests without a key; it reveals nothing about anyone's texts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server accepts.

    Attributes:
        body_bytes: size of a request.
        documents_per_request: documents in a request.
        concurrent_requests: requests that run at once.
        queued_requests: requests that may wait.
        timeout_seconds: for a request, including the time that it waits.
        pool_documents: documents in the pool.
    """

    body_bytes: int = 2_000_000
    documents_per_request: int = 256
    concurrent_requests: int = 2
    queued_requests: int = 16
    timeout_seconds: float = 3600
    pool_documents: int = 20_000


def is_loopback(host: str) -> bool:
    """Whether a server on `host` can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SecurityMiddleware:
    """ASGI middleware that checks the key, host, origin and size of a request, and sets security headers.

    Unexpected exceptions become a generic 500; details go to the log.

    By DNS rebinding, a page of another site can make a browser send requests to a server on the same machine. So a
    request without a key must be addressed to this machine by name, and must not come from another origin.

    Args:
        app: the application to protect.
        key: that every request must send; `None` if none is required.
        max_body_bytes: size of a request.
    """

    def __init__(self, app: ASGIApp, key: str | None, max_body_bytes: int) -> None:
        self._app, self._key, self._max_body_bytes = app, key, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        response_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal response_started
            response_started = True
            if message["type"] == "http.response.start":
                response_headers = MutableHeaders(scope=message)
                for name, value in _RESPONSE_HEADERS.items():
                    response_headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            status, error = refusal
            challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            await JSONResponse({"error": error}, status, challenge)(scope, receive, send_with_headers)
            return
        body_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal body_bytes
            message = await receive()
            body_bytes += len(message.get("body", b""))
            if body_bytes > self._max_body_bytes:
                raise HTTPException(413, self._too_large())
            return message

        try:
            await self._app(scope, receive_within_limit, send_with_headers)
        except Exception:
            if response_started:
                raise
            _LOG.exception("%s %s", scope["method"], scope["path"])
            problem = {"error": "internal error; see the server's log"}
            await JSONResponse(problem, 500)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason if the request is refused, otherwise `None`."""
        content_length = headers.get("content-length", "0")
        if content_length.isascii() and content_length.isdigit() and int(content_length) > self._max_body_bytes:
            return 413, self._too_large()
        if self._key is not None:
            authorization = headers.get("authorization", "")
            has_key = hmac.compare_digest(authorization.encode(), f"Bearer {self._key}".encode())
            is_public = scope["path"] in _PUBLIC_PATHS or (
                scope["method"] in {"GET", "HEAD"} and _is_static_page(scope["path"])
            )
            return None if has_key or is_public else (401, "a key is required: the header `Authorization: Bearer KEY`")
        host = headers.get("host", "")
        if not is_loopback(_without_port(host).strip("[]")):
            return 421, "without a key, this server answers only requests to localhost"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "requests from other sites are not allowed"
        return None

    def _too_large(self) -> str:
        return f"a request has at most {self._max_body_bytes} bytes; send fewer documents at once"


def _is_static_page(path: str) -> bool:
    return path == "/" or path.startswith("/static/")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
