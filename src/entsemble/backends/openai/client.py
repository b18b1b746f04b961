"""JSON over HTTP to a server that may be slow, busy, or gone for a while."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import tenacity

from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_DOWN_SECONDS = 30.0
"""How long a server that failed every attempt is taken for down, so that not every sentence waits for it again."""
_EXCERPT = 300


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How a server is treated.

    Attributes:
        timeout: seconds for one whole answer, however slowly it drips.
        retries: attempts after the first.
        backoff: seconds before the second attempt.
        concurrency: requests at once.
        requests_per_minute: how many may begin; `None` is no limit.
    """

    timeout: float = 300.0
    retries: int = 5
    backoff: float = 0.5
    concurrency: int = 4
    requests_per_minute: float | None = None


class TransientError(Exception):
    """An attempt that failed in a way that another may not.

    Attributes:
        final: what the caller is told where no attempt is left.
        after: seconds that the server asks to wait.
    """

    def __init__(self, final: ModelUnavailableError | BadReplyError, after: float = 0.0) -> None:
        self.final, self.after = final, after
        super().__init__(str(final))


class Client:
    """Posts JSON to one address.

    Timeouts, lost connections, 429, 5xx and answers that are no JSON are tried again, after a wait that doubles, with
    jitter, and is at least what the server asks for (`Retry-After`). At most `concurrency` requests are under way, and
    at most `requests_per_minute` begin.

    Args:
        url: the address; errors show it without user, password and query.
        api_key: sent as a bearer token; never shown.
        policy: limits and patience.

    Raises:
        ConfigError: the key holds what no header can.
    """

    def __init__(self, url: httpx.URL, api_key: str | None, policy: RequestPolicy) -> None:
        self.shown = str(url.copy_with(userinfo=b"", query=None))
        key = (api_key or "").strip()  # a variable that a file was read into may end with its line
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"the key for {self.shown} has characters that no key has; look at the variable it is in")
        self._url, self._key, self._timeout = url, key, policy.timeout
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=policy.concurrency)
        self._client = httpx.Client(timeout=policy.timeout, headers=headers, limits=limits)
        self._under_way = threading.Semaphore(policy.concurrency)
        self._pace = _Pace(policy.requests_per_minute)
        self._down: tuple[float, str] | None = None
        self._attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(policy.retries + 1),
            wait=_Wait(policy.backoff),
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )

    def post(self, body: Mapping[str, Any]) -> httpx.Response:
        """The server's answer, whatever its status says, once it is one that will not change by asking again.

        Raises:
            ModelUnavailableError: no attempt reached the server, or it stayed busy or broken.
            BadReplyError: no attempt got JSON.
        """
        if self._down and time.monotonic() - self._down[0] < _DOWN_SECONDS:
            raise ModelUnavailableError(f"{self._down[1]} (not asked again for {_DOWN_SECONDS:g} s)")
        try:
            response: httpx.Response = self._attempts(self._attempt, body)
        except TransientError as error:
            if isinstance(error.final, ModelUnavailableError):
                self._down = time.monotonic(), str(error.final)
            raise error.final from error
        self._down = None
        return response

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def excerpt(self, text: str) -> str:
        """The beginning of `text` on one line, without the key in case the server repeats it."""
        clean = text.replace(self._key, "[key]") if self._key else text
        line = " ".join(clean.split())
        return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "..."

    def _attempt(self, body: Mapping[str, Any]) -> httpx.Response:
        with self._under_way:
            self._pace.wait()
            response = self._exchange(body)
        if response.status_code in _TRANSIENT:
            busy = "; the server is asked too much: lower `concurrency` or set `requests_per_minute`"
            advice = busy if response.status_code == 429 else ""
            told = f"{self.shown} answered {response.status_code}{advice}: {self.excerpt(response.text)}"
            raise TransientError(ModelUnavailableError(told), _asked_to_wait(response))
        if response.is_success:
            try:
                response.json()
            except ValueError as error:
                told = f"{self.shown} did not answer as an OpenAI-compatible server does"
                raise TransientError(BadReplyError(f"{told}: {self.excerpt(response.text)}")) from error
        return response

    def _exchange(self, body: Mapping[str, Any]) -> httpx.Response:
        """One request and its whole answer within the timeout; the library's own timeout is for each piece of it."""
        began = time.monotonic()
        try:
            with self._client.stream("POST", self._url, json=body) as response:
                pieces = []
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    if time.monotonic() - began > self._timeout:
                        raise httpx.ReadTimeout("the answer drips too slowly")
            plain = [(k, v) for k, v in response.headers.items() if k not in ("content-encoding", "content-length")]
            return httpx.Response(response.status_code, headers=plain, content=b"".join(pieces))
        except httpx.TimeoutException as error:
            told = (
                f"no answer from {self.shown} within {self._timeout:g} s; is the server overloaded, or the timeout too "
                "short for this model?"
            )
            raise TransientError(ModelUnavailableError(told)) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            told = (
                f"cannot reach {self.shown} ({self.excerpt(str(error))}); is the server running there, and the address "
                "right?"
            )
            raise TransientError(ModelUnavailableError(told)) from error


class _Pace:
    """Lets requests begin no more often than so many a minute, evenly."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next, self._lock = 0.0, threading.Lock()

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            begin = max(time.monotonic(), self._next)
            self._next = begin + self._gap
        time.sleep(max(0.0, begin - time.monotonic()))


class _Wait:
    """Doubles from `first` with full jitter above half; at least what the server asked for."""

    def __init__(self, first: float) -> None:
        self._first = first

    def __call__(self, state: tenacity.RetryCallState) -> float:
        longest = float(min(self._first * 2 ** (state.attempt_number - 1), _LONGEST_WAIT))
        error = state.outcome.exception() if state.outcome else None
        asked = error.after if isinstance(error, TransientError) else 0.0
        return max(asked, longest * random.uniform(0.5, 1.0))


def _asked_to_wait(response: httpx.Response) -> float:
    """`Retry-After` in seconds, bounded; 0 where there is none that can be read."""
    given = response.headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, seconds), _LONGEST_WAIT)
