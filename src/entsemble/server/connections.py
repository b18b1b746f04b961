"""uvicorn with limits for connections: how many, how slow, and how long the server takes to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn
from sse_starlette.sse import AppStatus
from starlette.responses import JSONResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from entsemble._lib.atomic import abandon_replacements
from entsemble.server.limits import LISTEN_BACKLOG, Limits

_GRACE_SECONDS = 5.0
"""Time that requests in progress have to finish after a signal; then they are cancelled."""

EXIT_SECONDS = 7.0
"""When a process is to be ended that still computes, in a library that cannot be interrupted.

Three seconds less than promised: on an overloaded machine, a thread whose time has come runs a second or more later.
"""

_MIN_PROGRESS_BYTES = 16_384
"""What a client takes of an answer within `Limits.client_seconds`, if there is so much."""

_BUSY = JSONResponse(
    {"error": "too many connections; try again in 1 s"}, 503, {"Retry-After": "1", "Connection": "close"}
)


class Connection(H11Protocol):
    """A connection that is closed if its client is too slow, or if it has sent no whole request when others come.

    Attributes:
        idle_since: when it was opened, or when its last answer was complete.
    """

    max_connections = 1
    client_seconds = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.idle_since = time.monotonic()
        self._unsent_bytes, self._unsent_since = 0, self.idle_since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        if len(self.connections) <= self.max_connections:
            return
        others = (cast("Connection", connection) for connection in self.connections if connection is not self)
        replaceable = [other for other in others if other.is_idle or other.cycle.more_body]
        if replaceable:
            oldest = min(replaceable, key=lambda other: (not other.is_idle, other.idle_since))
            oldest.transport.abort()
            self.connections.discard(oldest)
        else:
            self.app = _BUSY

    def on_response_complete(self) -> None:
        """See uvicorn."""
        self.idle_since = time.monotonic()
        super().on_response_complete()

    @property
    def is_idle(self) -> bool:
        """Whether no request has been received whose answer is incomplete."""
        return self.cycle is None or self.cycle.response_complete

    def abort_if_stalled(self, now: float) -> None:
        """Close it if its client sends no request, or takes no answer, for too long."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes == 0 or unsent_bytes <= self._unsent_bytes - _MIN_PROGRESS_BYTES:
            self._unsent_bytes, self._unsent_since = unsent_bytes, now
        else:
            self._unsent_bytes = max(self._unsent_bytes, unsent_bytes)
        is_silent = self.is_idle and unsent_bytes == 0 and now - self.idle_since > self.client_seconds
        if is_silent or now - self._unsent_since > self.client_seconds:
            self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's server on an address; after a signal, requests in progress have five seconds to finish.

    Args:
        app: the application.
        host: name or address to listen on.
        port: 0 picks a free one.
        limits: for connections.
        on_started: called with the address and the port.
        on_stopping: called in the event loop when requests in progress are to be cancelled.

    Attributes:
        used_port: the port that it listens on, once it has started.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        limits: Limits,
        *,
        on_started: Callable[[str, int], None],
        on_stopping: Callable[[], None],
    ) -> None:
        protocol = type(
            "LimitedConnection",
            (Connection,),
            {"max_connections": limits.open_connections(), "client_seconds": limits.client_seconds},
        )
        config = uvicorn.Config(
            app,
            host,
            port,
            http=protocol,
            ws="none",
            log_level=logging.WARNING,
            server_header=False,
            backlog=LISTEN_BACKLOG,
            timeout_keep_alive=max(1, round(limits.client_seconds)),
        )
        super().__init__(config)
        AppStatus.enable_automatic_graceful_drain = False  # streams of events may finish as other answers may
        self.used_port = port
        self._on_started, self._on_stopping = on_started, on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        address, self.used_port = self.servers[0].sockets[0].getsockname()[:2]
        self._on_started(address, self.used_port)

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn; called ten times a second."""
        if counter % 10 == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                cast("Connection", connection).abort_if_stalled(now)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn; called by a signal."""
        if self.should_exit:  # the second signal
            exit_now(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        cancelling = asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._on_stopping)
        try:
            await super().shutdown(sockets)
        finally:
            cancelling.cancel()


def exit_now(exit_code: int) -> None:
    """End the process, whatever its threads are doing, without half-written files."""
    abandon_replacements()
    sys.stderr.write("entsemble: stopped\n")
    sys.stderr.flush()
    os._exit(exit_code)
