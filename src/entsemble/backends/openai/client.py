"""JSON over HTTP to a server that may be slow, busy, or down for a while."""

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

from entsemble.backends.openai.exchange import MAX_ANSWER_BYTES, Answer, Connection, TooLargeError, TooSlowError
from entsemble.errors import BadReplyError, ConfigError, ModelUnavailableError

_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_MAX_WAIT_SECONDS = 60.0
_EXCERPT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """Timeouts, retries and rate limits of requests to a server.

    Attributes:
        timeout: seconds for a whole exchange, however slowly the answer arrives.
        retries: attempts after the first.
        backoff: seconds before the second attempt.
        concurrency: requests at once.
        requests_per_minute: how many may begin; `None` for no limit.
        down_seconds: how long a server that failed every attempt counts as down, so that not every sentence waits for
            it again.
    """

    timeout: float = 300.0
    retries: int = 5
    backoff: float = 0.5
    concurrency: int = 4
    requests_per_minute: float | None = None
    down_seconds: float = 30.0


class TransientError(Exception):
    """A failed attempt that may succeed when repeated.

    Attributes:
        final_error: raised to the caller if no attempt is left.
        retry_after: seconds that the server asks to wait.
    """

    def __init__(self, final_error: ModelUnavailableError | BadReplyError, retry_after: float = 0.0) -> None:
        self.final_error, self.retry_after = final_error, retry_after
        super().__init__(str(final_error))


class Client:
    """Exchanges JSON with one server.

    Timeouts, lost connections, 429, 5xx and answers that are not JSON are retried after a wait that doubles each time,
    with jitter, and is at least what the server asks for (`Retry-After`).

    Args:
        base_url: of the server, up to and including `/v1`.
        api_key: sent as a bearer token; never shown.
        policy: timeouts, retries and rate limits.

    Attributes:
        base_url: of the server.
        address: the same as errors show it, without user, password and query.

    Raises:
        ConfigError: the key has characters that no header may contain.
    """

    def __init__(self, base_url: httpx.URL, api_key: str | None, policy: RequestPolicy) -> None:
        self.base_url, self.address = base_url, shown(base_url)
        key = (api_key or "").strip()  # a variable that a file was read into may end with a line break
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                f"the API key for {self.address} has characters that no key has; check the variable that holds it"
            )
        self._key, self._policy = key, policy
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._connection = Connection(headers, timeout=policy.timeout, max_connections=policy.concurrency)
        self._concurrency = threading.Semaphore(policy.concurrency)
        self._rate_limiter = _RateLimiter(policy.requests_per_minute)
        self._last_failure: tuple[float, str] | None = None
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(policy.retries + 1),
            wait=_Backoff(policy.backoff),
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )

    def post(self, url: httpx.URL, body: Mapping[str, Any]) -> Answer:
        """The first answer that is not a transient failure, whatever its status.

        Args:
            url: an address of the server.
            body: sent as JSON.

        Raises:
            ModelUnavailableError: no attempt reached the server, or it stayed busy or broken.
            BadReplyError: no attempt got JSON, or the answer is too large.
        """
        down_seconds = self._policy.down_seconds
        if self._last_failure and time.monotonic() - self._last_failure[0] < down_seconds:
            raise ModelUnavailableError(f"{self._last_failure[1]} (not tried again for {down_seconds:g} s)")
        try:
            response: Answer = self._retrying(self._attempt, url, body)
        except TransientError as error:
            if isinstance(error.final_error, ModelUnavailableError):
                self._last_failure = time.monotonic(), str(error.final_error)
            raise error.final_error from error
        self._last_failure = None
        return response

    def try_once(self, url: httpx.URL, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer to a single attempt, whatever its status; without a body, a GET.

        Raises:
            ModelUnavailableError: the server cannot be reached, or is too slow.
            BadReplyError: the answer is too large.
        """
        try:
            return self._send(url, body)
        except TransientError as error:
            raise error.final_error from error

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def excerpt(self, text: str) -> str:
        """The beginning of `text` on one line, with the API key redacted in case the server repeats it."""
        redacted = text.replace(self._key, "[key]") if self._key else text
        line = " ".join(redacted.split())
        return line if len(line) <= _EXCERPT_CHARACTERS else line[:_EXCERPT_CHARACTERS] + "..."

    def _attempt(self, url: httpx.URL, body: Mapping[str, Any]) -> Answer:
        address, response = shown(url), self._send(url, body)
        if response.status_code in _TRANSIENT_STATUSES:
            advice = "; too many requests: lower `concurrency` or set `requests_per_minute`"
            advice = advice if response.status_code == 429 else ""
            message = f"{address} answered {response.status_code}{advice}: {self.excerpt(response.text)}"
            raise TransientError(ModelUnavailableError(message), _retry_after(response))
        if response.is_success:
            try:
                response.json()
            except ValueError as error:
                problem = f"{address} did not answer as an OpenAI-compatible server does"
                raise TransientError(BadReplyError(f"{problem}: {self.excerpt(response.text)}")) from error
        return response

    def _send(self, url: httpx.URL, body: Mapping[str, Any] | None) -> Answer:
        with self._concurrency:
            self._rate_limiter.wait()
            return self._exchange(url, body)

    def _exchange(self, url: httpx.URL, body: Mapping[str, Any] | None) -> Answer:
        address = shown(url)
        try:
            return self._connection.send(url, body)
        except TooSlowError as error:
            message = (
                f"no answer from {address} within {self._policy.timeout:g} s; is the server overloaded, or the "
                "timeout too short for this model?"
            )
            raise TransientError(ModelUnavailableError(message)) from error
        except TooLargeError as error:
            message = (
                f"{address} answers with more than {MAX_ANSWER_BYTES >> 20} MB, which no model writes; is the "
                "address right?"
            )
            raise BadReplyError(message) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = self.excerpt(str(error) or type(error).__name__)
            message = f"cannot reach {address} ({reason}); is the server running there, and the address right?"
            raise TransientError(ModelUnavailableError(message)) from error


def shown(url: httpx.URL) -> str:
    """A URL for messages: without user, password and query."""
    return str(url.copy_with(userinfo=b"", query=None))


class _RateLimiter:
    """Lets requests begin at even intervals."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next_start, self._lock = 0.0, threading.Lock()

    def wait(self) -> None:
        if not self._interval:
            return
        with self._lock:
            start = max(time.monotonic(), self._next_start)
            self._next_start = start + self._interval
        time.sleep(max(0.0, start - time.monotonic()))


class _Backoff:
    """Doubles after each attempt, less up to half at random; at least what the server asks for."""

    def __init__(self, first_seconds: float) -> None:
        self._first_seconds = first_seconds

    def __call__(self, state: tenacity.RetryCallState) -> float:
        max_seconds = float(min(self._first_seconds * 2 ** (state.attempt_number - 1), _MAX_WAIT_SECONDS))
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, TransientError) else 0.0
        return max(retry_after, max_seconds * random.uniform(0.5, 1.0))


def _retry_after(response: Answer) -> float:
    """`Retry-After` in seconds, bounded; 0 if there is none, or it is not valid."""
    header = response.headers.get("retry-after", "")
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return 0.0
    return min(max(0.0, seconds), _MAX_WAIT_SECONDS)
