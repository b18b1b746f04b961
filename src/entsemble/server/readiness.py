"""Readiness: load the models for the first request, and retry if that fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from entsemble.errors import EntsembleError
from entsemble.server.service import ExtractionRequest, ExtractionService
from entsemble.server.work import WorkThreads

RETRY_SECONDS = 30.0

_NOT_LOADED = "the models cannot be loaded; see the server's log"
_LOG = logging.getLogger("entsemble.server")


class Readiness:
    """Loads the models that the first request needs.

    Args:
        service: has the models.
        threads: where they are loaded.
        retry_seconds: when to try again.
        first_request: the request that is expected; `None` for one with the server's labels.

    Attributes:
        is_ready: whether they are loaded.
        problem: why not; empty while they are being loaded.
    """

    def __init__(
        self,
        service: ExtractionService,
        threads: WorkThreads,
        retry_seconds: float = RETRY_SECONDS,
        first_request: Callable[[], ExtractionRequest | None] = lambda: None,
    ) -> None:
        self._first_request = first_request
        self._service, self._threads, self._retry_seconds = service, threads, retry_seconds
        self._lock, self._is_loading, self._next_attempt = threading.Lock(), False, 0.0
        self.is_ready, self.problem = False, ""

    def start_loading(self) -> None:
        """Load the models in the background, unless they are loaded, being loaded, or failed to load just now."""
        with self._lock:
            if self.is_ready or self._is_loading or time.monotonic() < self._next_attempt:
                return
            self._is_loading = True
        self._threads.submit(self._load)

    def _load(self) -> None:
        try:
            self._service.warm_up(self._first_request())
        except EntsembleError as error:
            if self._service.is_stopping:
                return
            _LOG.error("the models cannot be loaded: %s", error)
            self.problem = _NOT_LOADED
        except Exception:
            _LOG.exception("the models cannot be loaded")
            self.problem = _NOT_LOADED
        else:
            self.is_ready = True
        with self._lock:
            self._is_loading, self._next_attempt = False, time.monotonic() + self._retry_seconds
