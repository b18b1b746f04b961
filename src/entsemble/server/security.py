"""Security middleware: API key, allowed hosts and origins, size of requests, headers of responses."""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import Mapping
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entsemble.server.limits import Limits
from entsemble.server.request_body import RequestBody, too_large

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
_PUBLIC_PATHS = {"/health", "/healthz", "/readyz"}
"""What a supervisor or Label Studio requests without a key; it reveals nothing about anyone's texts."""


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
        limits: the size of a request, and the time to send it.
    """

    def __init__(self, app: ASGIApp, key: str | None, limits: Limits) -> None:
        self._app, self._key, self._limits = app, key, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        body = RequestBody(receive, self._limits, is_complete=not has_body)
        responder = _Responder(send, body)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, error = refusal
            challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            await JSONResponse({"error": error}, status, challenge)(scope, receive, responder.send)
            return
        try:
            await self._app(scope, body.receive, responder.send)
        except Exception:
            if responder.has_started:
                raise
            _LOG.exception("%s %s", scope["method"], scope["path"])
            problem = {"error": "internal error; see the server's log"}
            await JSONResponse(problem, 500)(scope, receive, responder.send)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason if the request is refused, otherwise `None`."""
        if "transfer-encoding" in headers and "content-length" in headers:
            return 400, "a request has a length or is sent in chunks, not both"  # proxies differ in which one counts
        content_length = headers.get("content-length", "0")
        if content_length.isascii() and content_length.isdigit() and int(content_length) > self._limits.body_bytes:
            return 413, too_large(self._limits)
        if self._key is not None:
            has_key = hmac.compare_digest(_sent_key(headers.get("authorization", "")), self._key.encode())
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


class _Responder:
    """Sends a response, with the security headers.

    A response to a request that has not been read completely also closes the connection, once the rest has been read
    and discarded. Otherwise the system would reset the connection, and many clients would never see the response.

    Attributes:
        has_started: whether a part has been sent.
    """

    def __init__(self, send: Send, body: RequestBody) -> None:
        self._send, self._body = send, body
        self._is_early = False
        self.has_started = False

    async def send(self, message: Message) -> None:
        """See ASGI."""
        self.has_started = True
        if message["type"] == "http.response.start":
            response_headers = MutableHeaders(scope=message)
            for name, value in _RESPONSE_HEADERS.items():
                response_headers.setdefault(name, value)
            self._is_early = not self._body.is_complete
            if self._is_early:
                response_headers["Connection"] = "close"
        if not self._is_early or message["type"] != "http.response.body" or message.get("more_body"):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._body.discard()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _sent_key(authorization: str) -> bytes:
    """The key in a header: a bearer token, or the password of basic authentication, which is all Label Studio sends."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.encode()
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _is_static_page(path: str) -> bool:
    return path == "/" or path.startswith("/static/")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
