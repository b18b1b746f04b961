"""The body of a request: limited in size and time, and discarded if nobody reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

from anyio import fail_after, move_on_after
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from entsemble.data.json_values import DuplicateKeyError, unique_object
from entsemble.server.limits import Limits

_MAX_DISCARDED_BYTES = 64_000_000
_MAX_DISCARD_SECONDS = 10.0
"""How much of a refused request is still read, and for how long."""


class RequestBody:
    """Receives the body of a request.

    Args:
        receive: see ASGI.
        limits: size of the body, and time to send it.
        is_complete: whether there is none.

    Attributes:
        is_complete: whether all of it was received.
    """

    def __init__(self, receive: Receive, limits: Limits, *, is_complete: bool) -> None:
        self._receive, self._limits = receive, limits
        self._received_bytes = 0
        self._deadline = time.monotonic() + limits.client_seconds
        self.is_complete = is_complete

    async def receive(self) -> Message:
        """See ASGI.

        Raises:
            HTTPException: the body is too large, or the client too slow.
        """
        if self.is_complete:
            return await self._receive()
        try:
            with fail_after(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, f"a request must be sent within {self._limits.client_seconds:g} s") from error
        self._note(message)
        if self._received_bytes > self._limits.body_bytes:
            raise HTTPException(413, too_large(self._limits))
        return message

    async def discard(self) -> None:
        """Receive what is left, up to limits of its own."""
        with move_on_after(min(_MAX_DISCARD_SECONDS, max(0.0, self._deadline - time.monotonic()))):
            while not self.is_complete and self._received_bytes < _MAX_DISCARDED_BYTES:
                self._note(await self._receive())

    def _note(self, message: Message) -> None:
        self._received_bytes += len(message.get("body", b""))
        self.is_complete = not message.get("more_body", False)


class UniqueKeysRequest(Request):
    """A request whose JSON has no key twice in one object: parsers would keep the last value, and lose the other."""

    async def json(self) -> Any:  # noqa: ANN401 - see Starlette
        """See Starlette.

        Raises:
            HTTPException: a key occurs twice.
        """
        try:
            return json.loads(await self.body(), object_pairs_hook=unique_object)
        except DuplicateKeyError as error:
            raise HTTPException(400, error.problem) from error


class UniqueKeysRoute(APIRoute):
    """A route that reads its body as `UniqueKeysRequest` does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handle = super().get_route_handler()

        async def handle_unique_keys(request: Request) -> Response:
            return await handle(UniqueKeysRequest(request.scope, request.receive))

        return handle_unique_keys


def too_large(limits: Limits) -> str:
    """Why a body is refused."""
    return f"a request has at most {limits.body_bytes} bytes; send fewer documents at once"
