"""A model at a server: requests, and errors that say what to do."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from entsemble.backends.openai.client import Client, shown
from entsemble.backends.openai.completion import Completion
from entsemble.backends.openai.exchange import Answer
from entsemble.backends.openai.routes import Request, Route
from entsemble.errors import BadReplyError, ModelUnavailableError, PromptTooLongError

_TOO_LONG = re.compile(
    r"context.{0,40}(length|size|window)|exceed.{0,40}context|too many tokens", re.IGNORECASE | re.DOTALL
)
_REJECTIONS = (400, 422, 500, 501)
_NO_ROUTE = (404, 405)


class RejectedError(ModelUnavailableError):
    """The server refuses a request, perhaps because of something in it that it does not support."""


class NoRouteError(ModelUnavailableError):
    """The server has no such route, or no such model."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at a server.

    Attributes:
        client: of the server.
        model: its name there.
    """

    client: Client
    model: str

    def ask(self, route: Route, request: Request, *, once: bool = False) -> Completion:
        """The model's answer.

        Args:
            route: how it is put.
            request: what is asked.
            once: whether a failure is not to be retried.

        Raises:
            RejectedError: the server refuses the request.
            NoRouteError: it has no such route, or no such model.
            ModelUnavailableError: it cannot be reached, or refuses for another reason.
            PromptTooLongError: the prompt does not fit the model's context.
            BadReplyError: the answer is not of the route's kind.
        """
        url, body = route.url(self.client.base_url), route.body(self.model, request)
        started = time.perf_counter()
        answer = self.client.try_once(url, body) if once else self.client.post(url, body)
        seconds = time.perf_counter() - started
        if not answer.is_success:
            raise self._error_for(answer, route)
        try:
            return route.parse(answer.json(), request, seconds)
        except ValueError as error:
            problem = f"{self.address(route)} did not answer as an OpenAI-compatible server does"
            raise BadReplyError(f"{problem}: {self.client.excerpt(answer.text)}") from error

    def address(self, route: Route) -> str:
        """The address of a route, for messages."""
        return shown(route.url(self.client.base_url))

    def _error_for(self, answer: Answer, route: Route) -> ModelUnavailableError | PromptTooLongError:
        address, status, excerpt = self.address(route), answer.status_code, self.client.excerpt(answer.text)
        if status < 500 and _TOO_LONG.search(answer.text):
            return PromptTooLongError(f"the prompt does not fit the context of {self.model} at {address}: {excerpt}")
        advice = {
            401: "; check the API key",
            403: "; check the permissions of the API key",
            404: f"; check the address, and that the server has a model called {self.model!r}",
        }.get(status, "")
        if location := answer.headers.get("location"):
            advice = f"; it redirects to {self.client.excerpt(location)}: if that is the server, set base_url to it"
        error_class = ModelUnavailableError
        if status in _REJECTIONS:
            error_class = RejectedError
        elif status in _NO_ROUTE:
            error_class = NoRouteError
        return error_class(f"{address} answered {status}{advice}: {excerpt}")
