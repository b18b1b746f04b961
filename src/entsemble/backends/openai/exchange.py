"""One request over HTTP and its whole answer, within a time and a size, whatever the server does."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic_core import from_json

MAX_ANSWER_BYTES = 16 << 20
"""Of an answer, decompressed. The longest that a model is asked for is a few kilobytes."""

_ACCEPTED_ENCODINGS = "gzip, deflate"
_ZLIB_OR_GZIP = 47
"""The `wbits` of zlib for both formats, told apart by their headers."""

Result = TypeVar("Result")


class TooLargeError(Exception):
    """An answer of more than `MAX_ANSWER_BYTES`."""


class TooSlowError(Exception):
    """An answer that was not complete in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer.

    Attributes:
        status_code: of HTTP.
        headers: as they came.
        content: decompressed.
    """

    status_code: int
    headers: httpx.Headers
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        """The content as UTF-8, whatever the headers say; JSON is nothing else."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:  # noqa: ANN401 - what it is remains to be checked
        """The content as JSON.

        Raises:
            ValueError: it is not, or is nested too deeply, or holds half a surrogate pair.
        """
        return from_json(self.content)


class Connection:
    """Kept connections to a server.

    Requests run on an event loop in a thread of its own: only there can a deadline end an exchange in any of its
    phases. A server that sends a byte a minute satisfies every timeout of a blocking socket.

    Args:
        headers: of each request.
        timeout: seconds for a whole exchange: the connection, the headers and the body.
        max_connections: at once.
    """

    def __init__(self, headers: Mapping[str, str], *, timeout: float, max_connections: int) -> None:
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": _ACCEPTED_ENCODINGS, **headers},
            limits=httpx.Limits(max_connections=max_connections),
            timeout=timeout,
            follow_redirects=False,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="entsemble-http", daemon=True)
        self._thread.start()

    def send(self, url: httpx.URL, body: Mapping[str, Any] | None) -> Answer:
        """The answer to a request, whatever its status: a POST with a JSON body, or a GET without one.

        Raises:
            TooSlowError: it is not complete in time.
            TooLargeError: it has more than `MAX_ANSWER_BYTES`.
            httpx.TransportError: the server cannot be reached, or does not speak HTTP.
            httpx.DecodingError: the answer is not compressed as its headers say.
        """
        try:
            return self._run(asyncio.wait_for(self._exchange(url, body), self._timeout))
        except (asyncio.TimeoutError, httpx.TimeoutException) as error:
            raise TooSlowError from error

    def close(self) -> None:
        """Close the connections."""
        self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _exchange(self, url: httpx.URL, body: Mapping[str, Any] | None) -> Answer:
        method = "GET" if body is None else "POST"
        async with self._client.stream(method, url, json=body) as response:
            decompress = _Decompressor(response.headers.get("content-encoding", ""))
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += decompress(chunk, MAX_ANSWER_BYTES - len(content) + 1)
                if len(content) > MAX_ANSWER_BYTES:
                    raise TooLargeError
            decompress.check_complete()
        return Answer(response.status_code, response.headers, bytes(content))


class _Decompressor:
    """Decompresses an answer piece by piece, never more than is wanted: httpx decompresses a chunk whole."""

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise httpx.DecodingError(f"it is compressed as {encoding!r}, which was not asked for")
        self._zlib = None if encoding in ("", "identity") else zlib.decompressobj(_ZLIB_OR_GZIP)
        self._is_empty = True

    def __call__(self, chunk: bytes, max_bytes: int) -> bytes:
        self._is_empty = self._is_empty and not chunk
        if self._zlib is None or not chunk:
            return chunk
        try:
            decompressed = self._zlib.decompress(chunk, max_bytes)
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error
        if self._zlib.unused_data:
            raise httpx.DecodingError("something follows the compressed content")
        return decompressed

    def check_complete(self) -> None:
        if self._zlib and not (self._zlib.eof or self._is_empty):
            raise httpx.DecodingError("the compressed content is cut off")
