"""A server that answers in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from entsemble import settings
from entsemble.settings import environment


@pytest.fixture
def extraction_service(tmp_path: Path, scripted: None, plain_members: None) -> Iterator[Any]:
    """The service of a server, with scripted members and an empty pool."""
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from entsemble.server.pool_file import PoolFile
    from entsemble.server.service import ExtractionService

    def settings_for(values: Any) -> settings.Settings:
        return settings.load(overrides={"cache": {"replies": False}, **values})

    pool = PoolFile(tmp_path / "server" / "pool.jsonl")
    yield ExtractionService(settings_for, environment(), pool)
    pool.close()


@pytest.fixture
def serve(extraction_service: Any) -> Iterator[Callable[..., Any]]:
    """Starts a server, and returns a client."""
    from fastapi.testclient import TestClient

    from entsemble.server.app import create_app
    from entsemble.server.security import Limits

    with ExitStack() as stack:

        def start(key: str | None = None, retry_seconds: float = 30, **limits: Any) -> Any:
            app = create_app(extraction_service, Limits(**limits), key, retry_seconds=retry_seconds)
            return stack.enter_context(TestClient(app, base_url="http://localhost:8765"))

        yield start
