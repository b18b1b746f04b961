"""What `/metrics` tells, in Prometheus's words."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entsemble.ner.documents import Extracted
from entsemble.server.admission import Turnstile

_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Measures:
    """Counters of one server; nothing of anybody's texts is in them."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "entsemble_requests", "Requests answered.", ["method", "path", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "entsemble_request_seconds", "How long they took.", ["path"], buckets=_BUCKETS, registry=self.registry
        )
        self._found = {
            name: Counter(f"entsemble_{name}", told, registry=self.registry)
            for name, told in (
                ("documents", "Documents extracted."),
                ("sentences", "Sentences in them."),
                ("mentions", "Mentions found in them."),
                ("prompt_tokens", "Prompt tokens that models evaluated."),
                ("generated_tokens", "Tokens that models wrote."),
            )
        }
        for name, told in (("running", "Extractions being worked on."), ("waiting", "Extractions waiting.")):
            gauge = Gauge(f"entsemble_{name}", told, registry=self.registry)
            gauge.set_function(lambda name=name: float(getattr(turnstile, name)))  # type: ignore[misc]

    def extracted(self, result: Extracted) -> None:
        """Count what a document gave."""
        usages = [usage for _, _, usage in result.costs]
        self._found["documents"].inc()
        self._found["sentences"].inc(result.sentence_count)
        self._found["mentions"].inc(len(result.document.mentions))
        self._found["prompt_tokens"].inc(sum(u.evaluated_tokens for u in usages))
        self._found["generated_tokens"].inc(sum(u.generated_tokens for u in usages))

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request."""
        route = scope.get("route")
        path, method = ("other", "other") if route is None else (route.path, scope["method"])
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)


class Measured:
    """ASGI middleware: counts requests and how long they take."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app, self._measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 499  # left before there was an answer

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            status = 500
            raise
        finally:
            self._measures.answered(scope, status, time.monotonic() - began)
